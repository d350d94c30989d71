// IPVS over generic netlink with nothing in between: the messages are laid out by hand, so that what is left is the
// cost of the system calls.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct service {
  uint32_t address;  // network order, as is the port
  uint16_t port;
  char scheduler[16];
};

struct destination {
  uint32_t service;  // index
  uint32_t address;
  uint16_t port;
  uint32_t weight;
};

// Rows as read back, with everything that the kernel tells.
struct service_row {
  uint16_t family, protocol, port;
  uint32_t fwmark, flags, timeout, netmask;
  uint8_t address[16];
  char scheduler[16], engine[16];
  uint64_t stats[10];
};

struct destination_row {
  uint16_t family, port, tunnel_port, tunnel_flags;
  uint8_t tunnel_type;
  uint32_t service, forward, weight, upper, lower, active, inactive, persistent;
  uint8_t address[16];
  uint64_t stats[10];
};

// Everything below ends the process with a message when something fails: a benchmark has no use for half a result.
void fail(const char *what);
void *allocate(size_t size);

// A socket in the namespace called `netns` under /run/netns; the thread is back in its own when it returns.
int open_netlink(const char *netns);
// The same of another protocol of netlink.
int open_socket(const char *netns, int protocol);

void encode_service(const struct service *service);
void encode_destination(const struct service *service, const struct destination *destination);
// The same for a destination that is there: sets it.
void encode_edit(const struct service *service, const struct destination *destination);
// Sends what was encoded once it is `most` messages, and reads the answers.
void send_full(int fd, unsigned most);
// Sends what is left.
void send_rest(int fd);
// From now on only the last message of a datagram asks for an answer; refusals are answered all the same.
void set_fenced(int fenced);

// Dumps netfilter's flows, through a socket of NETLINK_NETFILTER, and counts them.
size_t drop_flows(int fd);

size_t read_services(int fd, struct service_row *rows, size_t room);
size_t read_destinations(int fd, uint32_t index, const struct service_row *service,
                         struct destination_row *rows, size_t room);
