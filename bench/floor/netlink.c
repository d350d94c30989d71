#define _GNU_SOURCE
#include "netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  kBatch = 512,
  kLargestMessage = 256,
  kAnswerSize = 512,
  kDumpSize = 32 << 10,
  kDumpCount = 4,
  kBufferSize = 4 << 20,
};

static uint8_t out[kBatch * kLargestMessage];
static size_t out_size;
static unsigned out_count;
static struct nlmsghdr *last;
static int fenced;

static uint8_t in[kBatch * kAnswerSize];
static uint8_t dump[kDumpCount][kDumpSize];
static struct iovec vectors[kBatch];
static struct mmsghdr datagrams[kBatch];
static uint16_t family;
static uint32_t sequence = 1;

void fail(const char *what) {
  perror(what);
  exit(1);
}

void *allocate(size_t size) {
  void *memory = malloc(size);
  if (memory == NULL) fail("malloc");
  return memory;
}

// ---------- writing ----------

static void put(uint16_t type, const void *value, size_t size) {
  struct nlattr *attribute = (struct nlattr *)(out + out_size);
  attribute->nla_type = type;
  attribute->nla_len = NLA_HDRLEN + size;
  memcpy(attribute + 1, value, size);
  out_size += NLA_ALIGN(attribute->nla_len);
}

static void put_u16(uint16_t type, uint16_t value) { put(type, &value, sizeof(value)); }
static void put_u32(uint16_t type, uint32_t value) { put(type, &value, sizeof(value)); }

static size_t start(uint16_t type) {
  put(type, NULL, 0);
  return out_size - NLA_HDRLEN;
}

static void finish(size_t nest) {
  ((struct nlattr *)(out + nest))->nla_len = out_size - nest;
}

static void begin(uint16_t type, uint8_t command, uint16_t flags) {
  last = (struct nlmsghdr *)(out + out_size);
  *last = (struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = sequence++};
  struct genlmsghdr *header = NLMSG_DATA(last);
  *header = (struct genlmsghdr){.cmd = command, .version = 1};
  out_size += NLMSG_HDRLEN + GENL_HDRLEN;
}

static void end(void) {
  last->nlmsg_len = (uint32_t)(out + out_size - (uint8_t *)last);
  out_count++;
}

static void put_key(uint32_t address, uint16_t port) {
  put_u16(IPVS_SVC_ATTR_AF, AF_INET);
  put_u16(IPVS_SVC_ATTR_PROTOCOL, 6);
  put_u32(IPVS_SVC_ATTR_ADDR, address);
  put_u16(IPVS_SVC_ATTR_PORT, port);
}

static uint16_t change_flags(void) { return NLM_F_REQUEST | (fenced ? 0 : NLM_F_ACK); }

void encode_service(const struct service *service) {
  const uint32_t flags[2] = {0, ~0u};
  begin(family, IPVS_CMD_NEW_SERVICE, change_flags());
  const size_t nest = start(IPVS_CMD_ATTR_SERVICE);
  put_key(service->address, service->port);
  put(IPVS_SVC_ATTR_SCHED_NAME, service->scheduler, strlen(service->scheduler) + 1);
  put(IPVS_SVC_ATTR_FLAGS, flags, sizeof(flags));
  put_u32(IPVS_SVC_ATTR_TIMEOUT, 0);
  put_u32(IPVS_SVC_ATTR_NETMASK, ~0u);
  finish(nest);
  end();
}

static void encode(uint8_t command, const struct service *service,
                   const struct destination *destination) {
  begin(family, command, change_flags());
  size_t nest = start(IPVS_CMD_ATTR_SERVICE);
  put_key(service->address, service->port);
  finish(nest);
  nest = start(IPVS_CMD_ATTR_DEST);
  put_u32(IPVS_DEST_ATTR_ADDR, destination->address);
  put_u16(IPVS_DEST_ATTR_PORT, destination->port);
  put_u32(IPVS_DEST_ATTR_FWD_METHOD, IP_VS_CONN_F_MASQ);
  put_u32(IPVS_DEST_ATTR_WEIGHT, destination->weight);
  put_u32(IPVS_DEST_ATTR_U_THRESH, 0);
  put_u32(IPVS_DEST_ATTR_L_THRESH, 0);
  finish(nest);
  end();
}

void encode_destination(const struct service *service, const struct destination *destination) {
  encode(IPVS_CMD_NEW_DEST, service, destination);
}

void encode_edit(const struct service *service, const struct destination *destination) {
  encode(IPVS_CMD_SET_DEST, service, destination);
}

static void arrange(uint8_t *memory, size_t size, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    vectors[i] = (struct iovec){memory + i * size, size};
    datagrams[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
}

static void send_out(int fd) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (sendto(fd, out, out_size, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) fail("send");
  out_size = 0;
}

void send_rest(int fd) {
  if (out_count == 0) return;
  last->nlmsg_flags |= NLM_F_ACK;
  send_out(fd);
  unsigned open = fenced ? 1 : out_count;
  out_count = 0;
  arrange(in, kAnswerSize, open);
  while (open > 0) {
    const int count = recvmmsg(fd, datagrams, open, MSG_WAITFORONE, NULL);
    if (count < 0) fail("receive");
    for (int i = 0; i < count; i++) {
      const struct nlmsghdr *answer = (const struct nlmsghdr *)(in + (size_t)i * kAnswerSize);
      const struct nlmsgerr *error = NLMSG_DATA(answer);
      errno = -error->error;
      if (answer->nlmsg_type != NLMSG_ERROR || error->error != 0) fail("change");
    }
    open -= (unsigned)count;
  }
}

void send_full(int fd, unsigned most) {
  if (out_count >= most || out_count == kBatch) send_rest(fd);
}

void set_fenced(int value) { fenced = value; }

// ---------- reading ----------

typedef void take(const struct nlattr *attribute, void *row);

static const void *value_of(const struct nlattr *attribute) { return attribute + 1; }

static uint16_t u16(const struct nlattr *attribute) { return *(const uint16_t *)value_of(attribute); }
static uint32_t u32(const struct nlattr *attribute) { return *(const uint32_t *)value_of(attribute); }

static void copy(const struct nlattr *attribute, void *to, size_t room) {
  const size_t size = attribute->nla_len - NLA_HDRLEN;
  memcpy(to, value_of(attribute), size < room ? size : room);
}

static void walk(const uint8_t *at, size_t size, take *take, void *row) {
  const uint8_t *end_of = at + size;
  while (at < end_of) {
    const struct nlattr *attribute = (const struct nlattr *)at;
    take(attribute, row);
    at += NLA_ALIGN(attribute->nla_len);
  }
}

static void walk_nest(const struct nlattr *nest, take *take, void *row) {
  walk(value_of(nest), nest->nla_len - NLA_HDRLEN, take, row);
}

static void take_counter(const struct nlattr *attribute, void *row) {
  if (attribute->nla_type <= 10) copy(attribute, (uint64_t *)row + attribute->nla_type - 1, 8);
}

static void take_service(const struct nlattr *attribute, void *to) {
  struct service_row *row = to;
  switch (attribute->nla_type) {
    case IPVS_SVC_ATTR_AF: row->family = u16(attribute); break;
    case IPVS_SVC_ATTR_PROTOCOL: row->protocol = u16(attribute); break;
    case IPVS_SVC_ATTR_ADDR: copy(attribute, row->address, 16); break;
    case IPVS_SVC_ATTR_PORT: row->port = u16(attribute); break;
    case IPVS_SVC_ATTR_FWMARK: row->fwmark = u32(attribute); break;
    case IPVS_SVC_ATTR_SCHED_NAME: copy(attribute, row->scheduler, 16); break;
    case IPVS_SVC_ATTR_FLAGS: row->flags = u32(attribute); break;
    case IPVS_SVC_ATTR_TIMEOUT: row->timeout = u32(attribute); break;
    case IPVS_SVC_ATTR_NETMASK: row->netmask = u32(attribute); break;
    case IPVS_SVC_ATTR_PE_NAME: copy(attribute, row->engine, 16); break;
    case IPVS_SVC_ATTR_STATS64: walk_nest(attribute, take_counter, row->stats); break;
  }
}

static void take_destination(const struct nlattr *attribute, void *to) {
  struct destination_row *row = to;
  switch (attribute->nla_type) {
    case IPVS_DEST_ATTR_ADDR_FAMILY: row->family = u16(attribute); break;
    case IPVS_DEST_ATTR_ADDR: copy(attribute, row->address, 16); break;
    case IPVS_DEST_ATTR_PORT: row->port = u16(attribute); break;
    case IPVS_DEST_ATTR_FWD_METHOD: row->forward = u32(attribute); break;
    case IPVS_DEST_ATTR_WEIGHT: row->weight = u32(attribute); break;
    case IPVS_DEST_ATTR_U_THRESH: row->upper = u32(attribute); break;
    case IPVS_DEST_ATTR_L_THRESH: row->lower = u32(attribute); break;
    case IPVS_DEST_ATTR_ACTIVE_CONNS: row->active = u32(attribute); break;
    case IPVS_DEST_ATTR_INACT_CONNS: row->inactive = u32(attribute); break;
    case IPVS_DEST_ATTR_PERSIST_CONNS: row->persistent = u32(attribute); break;
    case IPVS_DEST_ATTR_TUN_TYPE: row->tunnel_type = *(const uint8_t *)value_of(attribute); break;
    case IPVS_DEST_ATTR_TUN_PORT: row->tunnel_port = u16(attribute); break;
    case IPVS_DEST_ATTR_TUN_FLAGS: row->tunnel_flags = u16(attribute); break;
    case IPVS_DEST_ATTR_STATS64: walk_nest(attribute, take_counter, row->stats); break;
  }
}

// Sends the dump request that was encoded and reads it to its end. The row's nest is the only top-level attribute.
static size_t read_dump(int fd, take *take, uint8_t *rows, size_t row_size, size_t room) {
  size_t count = 0;
  send_out(fd);
  out_count = 0;
  for (;;) {
    // Reading one datagram makes the kernel build the next, so a small dump and its end come in one call.
    const int received = recvmmsg(fd, datagrams, kDumpCount, MSG_WAITFORONE, NULL);
    if (received < 0) fail("receive");
    for (int i = 0; i < received; i++) {
      int size = (int)datagrams[i].msg_len;
      const struct nlmsghdr *message = (const struct nlmsghdr *)dump[i];
      for (; NLMSG_OK(message, (unsigned)size); message = NLMSG_NEXT(message, size)) {
        if (message->nlmsg_type == NLMSG_DONE) return count;
        if (message->nlmsg_type == NLMSG_ERROR || count == room) fail("dump");
        const struct nlattr *nest =
            (const struct nlattr *)((const uint8_t *)NLMSG_DATA(message) + GENL_HDRLEN);
        void *row = rows + row_size * count++;
        memset(row, 0, row_size);
        walk_nest(nest, take, row);
      }
    }
  }
}

size_t read_services(int fd, struct service_row *rows, size_t room) {
  arrange(dump[0], kDumpSize, kDumpCount);
  begin(family, IPVS_CMD_GET_SERVICE, NLM_F_REQUEST | NLM_F_DUMP);
  end();
  return read_dump(fd, take_service, (uint8_t *)rows, sizeof(*rows), room);
}

size_t read_destinations(int fd, uint32_t index, const struct service_row *service,
                         struct destination_row *rows, size_t room) {
  uint32_t address;
  memcpy(&address, service->address, sizeof(address));
  begin(family, IPVS_CMD_GET_DEST, NLM_F_REQUEST | NLM_F_DUMP);
  const size_t nest = start(IPVS_CMD_ATTR_SERVICE);
  put_key(address, service->port);
  finish(nest);
  end();
  const size_t count =
      read_dump(fd, take_destination, (uint8_t *)rows, sizeof(*rows), room);
  for (size_t i = 0; i < count; i++) rows[i].service = index;
  return count;
}

// ---------- opening ----------

static void take_family(const struct nlattr *attribute, void *row) {
  if (attribute->nla_type == CTRL_ATTR_FAMILY_ID) *(uint16_t *)row = u16(attribute);
}

static void resolve(int fd) {
  begin(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_REQUEST);
  put(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME, sizeof(IPVS_GENL_NAME));
  end();
  send_out(fd);
  out_count = 0;
  const ssize_t size = recv(fd, dump[0], kDumpSize, 0);
  const struct nlmsghdr *answer = (const struct nlmsghdr *)dump[0];
  const size_t headers = NLMSG_HDRLEN + GENL_HDRLEN;
  if (size < (ssize_t)headers || answer->nlmsg_type == NLMSG_ERROR) fail("family");
  walk(dump[0] + headers, answer->nlmsg_len - headers, take_family, &family);
}

static int open_namespace(const char *path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path);
  return fd;
}

int open_socket(const char *netns, int protocol) {
  char path[128];
  snprintf(path, sizeof(path), "/run/netns/%s", netns);
  const int home = open_namespace("/proc/self/ns/net");
  const int there = open_namespace(path);
  if (setns(there, CLONE_NEWNET) != 0) fail("setns");
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) fail("socket");
  if (setns(home, CLONE_NEWNET) != 0) fail("setns");
  close(home);
  close(there);
  const int size = kBufferSize;
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0) fail("buffer");
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0) fail("buffer");
  if (setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) != 0) fail("cap ack");
  return fd;
}

int open_netlink(const char *netns) {
  const int fd = open_socket(netns, NETLINK_GENERIC);
  if (family == 0) resolve(fd);
  return fd;
}
