// The floor: the system calls that the work takes, made by hand. Reads a table in ipvsadm's save format, then orders on
// standard input, one a line, and answers each with one line: seconds, and how many rows or changes.
//
//   add NETNS [MOST]     fill the namespace, at most so many changes a datagram (512)
//   fence NETNS          the same with one answer asked for a datagram
//   edit NETNS COUNT WEIGHT [fence]   set the weight of so many destinations, spread over the table
//   read NETNS           read everything back
//   flows NETNS          dump netfilter's flows, and drop them
//   spawn NETNS INPUT COMMAND…   run a command there, standard input from a file, output to nowhere; the time from
//                                vfork to its end, and the most memory that it had, in KiB
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "netlink.h"

enum { kMaxWords = 16 };

static struct service *services;
static struct destination *destinations;
static size_t service_count, destination_count;

static struct service_row *service_rows;
static struct destination_row *destination_rows;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void parse_address(char *text, uint32_t *address, uint16_t *port) {
  char *colon = strchr(text, ':');
  if (colon == NULL) fail("address");
  *colon = '\0';
  if (inet_pton(AF_INET, text, address) != 1) fail("address");
  *port = htons((uint16_t)atoi(colon + 1));
}

// Lines are those that bench/workload.ts writes, with their words in that order and each service before its destinations.
static void load(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) fail(path);
  size_t lines = 0;
  for (int c; (c = fgetc(file)) != EOF;) lines += c == '\n';
  rewind(file);
  services = allocate(lines * sizeof(*services));
  destinations = allocate(lines * sizeof(*destinations));
  char line[256], server[64], other[64];
  while (fgets(line, sizeof(line), file) != NULL) {
    struct service *service = &services[service_count];
    struct destination *destination = &destinations[destination_count];
    if (sscanf(line, "-A -t %63s -s %15s", server, service->scheduler) == 2) {
      parse_address(server, &service->address, &service->port);
      service_count++;
    } else if (sscanf(line, "-a -t %63s -r %63s -m -w %u", server, other, &destination->weight) == 3) {
      parse_address(other, &destination->address, &destination->port);
      destination->service = (uint32_t)service_count - 1;
      destination_count++;
    } else {
      fail(line);
    }
  }
  fclose(file);
  service_rows = allocate(service_count * sizeof(*service_rows));
  destination_rows = allocate(destination_count * sizeof(*destination_rows));
}

static void answer(double started, size_t count) {
  printf("%.6f %zu\n", now() - started, count);
  fflush(stdout);
}

static void add(const char *netns, unsigned most) {
  const int fd = open_netlink(netns);
  const double started = now();
  size_t next = 0;
  for (size_t i = 0; i < service_count; i++) {
    encode_service(&services[i]);
    send_full(fd, most);
    for (; next < destination_count && destinations[next].service == i; next++) {
      encode_destination(&services[i], &destinations[next]);
      send_full(fd, most);
    }
  }
  send_rest(fd);
  answer(started, service_count + destination_count);
  close(fd);
}

static void edit(const char *netns, size_t count, uint32_t weight) {
  const int fd = open_netlink(netns);
  const double started = now();
  for (size_t i = 0; i < count; i++) {
    struct destination changed = destinations[i * (destination_count / count)];
    changed.weight = weight;
    encode_edit(&services[changed.service], &changed);
    send_full(fd, ~0u);
  }
  send_rest(fd);
  answer(started, count);
  close(fd);
}

static void read_back(const char *netns) {
  const int fd = open_netlink(netns);
  const double started = now();
  const size_t found = read_services(fd, service_rows, service_count);
  size_t total = 0;
  for (size_t i = 0; i < found; i++) {
    total += read_destinations(fd, (uint32_t)i, &service_rows[i], destination_rows + total,
                               destination_count - total);
  }
  answer(started, found + total);
  close(fd);
}

static void dump_flows(const char *netns) {
  const int fd = open_socket(netns, NETLINK_NETFILTER);
  const double started = now();
  answer(started, drop_flows(fd));
  close(fd);
}

static void redirect(const char *path, int flags, int fd) {
  const int opened = open(path, flags);
  if (opened < 0 || dup2(opened, fd) < 0) fail(path);
}

static void spawn(const char *netns, const char *input, char **command) {
  char path[128];
  snprintf(path, sizeof(path), "/run/netns/%s", netns);
  const double started = now();
  // Not fork, after which each page that the next task writes to would cost a fault.
  const pid_t child = vfork();
  if (child < 0) fail("vfork");
  if (child == 0) {
    const int there = open(path, O_RDONLY);
    if (there < 0 || setns(there, CLONE_NEWNET) != 0) fail(path);
    redirect(input, O_RDONLY, STDIN_FILENO);
    redirect("/dev/null", O_WRONLY, STDOUT_FILENO);
    execvp(command[0], command);
    fail(command[0]);
  }
  int status = 0;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) != child || status != 0) fail(command[0]);
  answer(started, (size_t)usage.ru_maxrss);
}

int main(int argc, char **argv) {
  if (argc != 2) fail("usage: floor TABLE");
  load(argv[1]);
  char line[1024];
  while (fgets(line, sizeof(line), stdin) != NULL) {
    char *words[kMaxWords + 1] = {NULL};
    size_t count = 0;
    for (char *word = strtok(line, " \n"); word != NULL && count < kMaxWords; word = strtok(NULL, " \n")) {
      words[count++] = word;
    }
    if (count < 2) fail("order");
    set_fenced(strcmp(words[0], "fence") == 0);
    if (strcmp(words[0], "add") == 0) {
      add(words[1], count > 2 ? (unsigned)atoi(words[2]) : ~0u);
    } else if (strcmp(words[0], "fence") == 0) {
      add(words[1], ~0u);
    } else if (strcmp(words[0], "edit") == 0 && count > 3) {
      set_fenced(count > 4);
      edit(words[1], (size_t)atoi(words[2]), (uint32_t)atoi(words[3]));
    } else if (strcmp(words[0], "read") == 0) {
      read_back(words[1]);
    } else if (strcmp(words[0], "flows") == 0) {
      dump_flows(words[1]);
    } else if (strcmp(words[0], "spawn") == 0 && count > 3) {
      spawn(words[1], words[2], words + 3);
    } else {
      fail("order");
    }
  }
  return 0;
}
