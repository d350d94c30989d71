// Netfilter's table of flows over ctnetlink, dropped as it comes: what the kernel alone takes for a dump of it.
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "netlink.h"

// The kernel fills datagrams up to 32 KiB where a reader offers that much.
enum { kDatagram = 32 << 10 };

size_t drop_flows(int fd) {
  static uint8_t datagram[kDatagram];
  const struct {
    struct nlmsghdr header;
    struct nfgenmsg family;
  } request = {{sizeof(request), NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
               {AF_UNSPEC, NFNETLINK_V0, 0}};
  if (send(fd, &request, sizeof(request), 0) != sizeof(request)) fail("send");
  for (size_t flows = 0;;) {
    const ssize_t received = recv(fd, datagram, sizeof(datagram), 0);
    if (received <= 0) fail("receive");
    size_t left = (size_t)received;
    for (const struct nlmsghdr *message = (const void *)datagram; NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return flows;
      if (message->nlmsg_type == NLMSG_ERROR) fail("flows");
      flows++;
    }
  }
}
