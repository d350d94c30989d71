// Sets up connections and says how long each took. One process is both ends: the kernel does the whole handshake inside
// connect(), through all namespaces on the way, so that no second process has to be woken, and what is timed is the path.
//
//   connect TURNS EXCHANGE TARGET…     TARGET = CLIENT-NETNS SERVER-NETNS ADDRESS PORT, four words
//
// Targets take turns of kTurn connections, in another order each time. The first ones of a turn are not counted: another
// path's long walk has just emptied the processor's caches. A server listens on port 8080 of its namespace. With EXCHANGE 1 a request of 64 bytes and an answer of 512 are part of what is timed, with 0 connect() alone.
// Prints the clock ticks that the processor was busy and how many connections there were in that time, then one line a
// target: the nanoseconds of every connection that counts.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { kPort = 8080, kRequest = 64, kAnswer = 512, kPatience = 5, kTurn = 25, kUncounted = 5 };
enum { kWarmUp = 4, kSeed = 1 };

struct target {
  const char *client, *address;
  int client_netns, listener;
  struct sockaddr_in to;
  uint64_t *times;
  size_t count;
};

static void fail(const char *what, const struct target *target) {
  fprintf(stderr, "connect: %s", what);
  if (target != NULL) fprintf(stderr, " %s from %s", target->address, target->client);
  fprintf(stderr, ": %s\n", strerror(errno));
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// What /proc/stat says of user, nice, system, irq and softirq.
static unsigned long busy_ticks(void) {
  unsigned long user, nice, system, irq, softirq;
  FILE *file = fopen("/proc/stat", "re");
  if (file == NULL ||
      fscanf(file, "cpu %lu %lu %lu %*u %*u %lu %lu", &user, &nice, &system, &irq, &softirq) != 5)
    fail("/proc/stat", NULL);
  fclose(file);
  return user + nice + system + irq + softirq;
}

static int open_netns(const char *name) {
  char path[64];
  snprintf(path, sizeof(path), "/run/netns/%s", name);
  const int netns = open(path, O_RDONLY | O_CLOEXEC);
  if (netns < 0) fail(path, NULL);
  return netns;
}

static int socket_in(int netns) {
  if (setns(netns, CLONE_NEWNET) != 0) fail("setns", NULL);
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) fail("socket", NULL);
  return made;
}

static int listen_in(const char *name) {
  const int netns = open_netns(name);
  const int listener = socket_in(netns);
  const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(kPort)};
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, (const struct sockaddr *)&any, sizeof(any)) != 0 || listen(listener, 16) != 0)
    fail("listen", NULL);
  close(netns);
  return listener;
}

// Closed with a reset: the port is free again at once, and nothing waits in TIME_WAIT.
static void drop(int connection) {
  const struct linger now_already = {.l_onoff = 1, .l_linger = 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &now_already, sizeof(now_already));
  close(connection);
}

static void pass(int from, int to, size_t size, const struct target *target) {
  static char bytes[kAnswer];
  if (send(from, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) fail("send to", target);
  if (recv(to, bytes, size, MSG_WAITALL) != (ssize_t)size) fail("receive of", target);
}

static uint64_t connect_once(const struct target *target, int exchange) {
  const int client = socket_in(target->client_netns);
  // A packet that is lost must not look like a slow path.
  const struct timeval patience = {.tv_sec = kPatience};
  setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const uint64_t start = now();
  if (connect(client, (const struct sockaddr *)&target->to, sizeof(target->to)) != 0)
    fail("connect to", target);
  uint64_t taken = now() - start;
  const int server = accept4(target->listener, NULL, NULL, SOCK_CLOEXEC);
  if (server < 0) fail("accept of", target);
  if (exchange) {
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    pass(client, server, kRequest, target);
    pass(server, client, kAnswer, target);
    taken = now() - start;
  }
  drop(client);
  close(server);
  return taken;
}

static struct target *make_targets(size_t count, char **words) {
  struct target *targets = calloc(count, sizeof(*targets));
  for (size_t i = 0; i < count; i++) {
    struct target *one = &targets[i];
    const char *server = words[4 * i + 1];
    one->client = words[4 * i];
    one->address = words[4 * i + 2];
    one->client_netns = open_netns(one->client);
    one->listener = -1;
    for (size_t j = 0; j < i && one->listener < 0; j++)
      if (strcmp(words[4 * j + 1], server) == 0) one->listener = targets[j].listener;
    if (one->listener < 0) one->listener = listen_in(server);
    one->to.sin_family = AF_INET;
    one->to.sin_port = htons((uint16_t)strtoul(words[4 * i + 3], NULL, 10));
    if (inet_pton(AF_INET, one->address, &one->to.sin_addr) != 1) fail("address", one);
  }
  return targets;
}

static void shuffle(size_t *order, size_t count) {
  for (size_t i = count; i > 1; i--) {
    const size_t j = (size_t)random() % i;
    const size_t kept = order[i - 1];
    order[i - 1] = order[j];
    order[j] = kept;
  }
}

static void take_turn(struct target *target, int exchange, int counts) {
  for (int i = 0; i < kTurn; i++) {
    const uint64_t taken = connect_once(target, exchange);
    if (counts && i >= kUncounted) target->times[target->count++] = taken;
  }
}

int main(int argc, char **argv) {
  if (argc < 7 || (argc - 3) % 4 != 0) {
    fprintf(stderr, "connect: TURNS EXCHANGE, then four words a target\n");
    return 2;
  }
  const size_t turns = strtoul(argv[1], NULL, 10), count = (size_t)(argc - 3) / 4;
  const int exchange = argv[2][0] == '1';
  struct target *targets = make_targets(count, argv + 3);
  size_t *order = calloc(count, sizeof(*order));
  for (size_t i = 0; i < count; i++) {
    order[i] = i;
    targets[i].times = calloc(turns * (kTurn - kUncounted), sizeof(uint64_t));
  }
  srandom(kSeed);
  unsigned long ticks = 0;
  for (size_t turn = 0; turn < kWarmUp + turns; turn++) {
    if (turn == kWarmUp) ticks = busy_ticks();
    shuffle(order, count);
    for (size_t i = 0; i < count; i++)
      take_turn(&targets[order[i]], exchange, turn >= kWarmUp);
  }
  printf("%lu %zu\n", busy_ticks() - ticks, turns * kTurn * count);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < targets[i].count; j++)
      printf("%llu%c", (unsigned long long)targets[i].times[j],
             j + 1 < targets[i].count ? ' ' : '\n');
  return 0;
}
