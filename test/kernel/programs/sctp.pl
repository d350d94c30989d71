# SCTP between hosts of test/kernel/kube-world.ts: sctp.pl serve ADDRESS... answers on port 8080 with who it is and as whom it
# sees the other side, says "ready" first, and ends with its input; sctp.pl ask ADDRESS PORT COUNT prints the answers.
use strict;
use warnings;
use IO::Select;
use Socket qw(:all);

my ($what, @words) = @ARGV;
$| = 1;

sub create {
  my ($address) = @_;
  my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
  socket(my $socket, $family, SOCK_STREAM, 132) or die "socket: $!";
  return $socket;
}

sub name {
  my ($address, $port) = @_;
  return $address =~ /:/
    ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address))
    : pack_sockaddr_in($port, inet_pton(AF_INET, $address));
}

sub address {
  my ($name) = @_;
  return sockaddr_family($name) == AF_INET6
    ? inet_ntop(AF_INET6, (unpack_sockaddr_in6($name))[1])
    : inet_ntop(AF_INET, (unpack_sockaddr_in($name))[1]);
}

if ($what eq 'ask') {
  my ($address, $port, $count) = @words;
  for (1 .. $count) {
    my $socket = create($address);
    local $SIG{ALRM} = sub { print "nothing\n"; exit };
    alarm 5;
    if (!connect($socket, name($address, $port))) {
      print "$!\n";
      next;
    }
    recv($socket, my $answer, 200, 0);
    print "$answer\n";
  }
  exit;
}

my %own;
my $waiting = IO::Select->new(\*STDIN);
for my $address (@words) {
  # Bound to one address: otherwise it would offer the others, which go past any translation.
  my $socket = create($address);
  bind($socket, name($address, 8080)) or die "bind $address: $!";
  listen($socket, 100) or die "listen: $!";
  $own{$socket} = $address;
  $waiting->add($socket);
}
print "ready\n";
for (;;) {
  for my $socket ($waiting->can_read) {
    exit if $socket == \*STDIN;
    my $peer = accept(my $open, $socket) or next;
    send($open, "$own{$socket} " . address($peer), 0);
    close $open;
  }
}
