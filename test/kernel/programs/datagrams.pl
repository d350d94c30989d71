# Sends datagrams, each from a socket of its own: datagrams.pl CLIENT PORT SERVICE PORT TEXT ..., five words each.
use strict;
use warnings;
use Socket qw(:all);

sub name {
  my ($address, $port) = @_;
  return $address =~ /:/
    ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address))
    : pack_sockaddr_in($port, inet_pton(AF_INET, $address));
}

while (my ($client, $from, $service, $to, $text) = splice @ARGV, 0, 5) {
  socket(my $socket, $client =~ /:/ ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die "socket: $!";
  bind($socket, name($client, $from)) or die "bind $client $from: $!";
  send($socket, $text, 0, name($service, $to)) or die "send $service $to: $!";
}
