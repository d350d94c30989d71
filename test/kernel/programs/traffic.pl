# Opens connections and keeps them until its input ends: traffic.pl PROTOCOL CLIENT SERVICE DESTINATION PORT COUNT ...
# It listens on the destinations itself; handshakes are the kernel's. Says "ready" when all are open.
use strict;
use warnings;
use Socket qw(:all);

my %protocols = (tcp => 6, udp => 17, sctp => 132);
my (@open, %listening);
$| = 1;

sub name {
  my ($address, $port) = @_;
  return $address =~ /:/
    ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address))
    : pack_sockaddr_in($port, inet_pton(AF_INET, $address));
}

sub create {
  my ($protocol, $address) = @_;
  my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
  my $type = $protocol eq 'udp' ? SOCK_DGRAM : SOCK_STREAM;
  socket(my $socket, $family, $type, $protocols{$protocol}) or die "socket $protocol: $!";
  setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1) or die "SO_REUSEADDR: $!";
  return $socket;
}

while (my ($protocol, $client, $service, $destination, $port, $count) = splice @ARGV, 0, 6) {
  if (!$listening{"$protocol $destination $port"}++) {
    my $server = create($protocol, $destination);
    bind($server, name($destination, $port)) or die "bind $destination $port: $!";
    $protocol eq 'udp' or listen($server, 1024) or die "listen: $!";
    push @open, $server;
  }
  for (1 .. $count) {
    my $socket = create($protocol, $service);
    bind($socket, name($client, 0)) or die "bind $client: $!";
    connect($socket, name($service, $port)) or die "connect $protocol $service $port: $!";
    $protocol ne 'udp' or send($socket, 'x', 0) or die "send: $!";
    push @open, $socket;
  }
}
print "ready\n";
<STDIN>;
