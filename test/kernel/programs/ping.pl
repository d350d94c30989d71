# Sends one ICMP echo request and says what comes back: reply, unreachable or nothing. ping.pl ADDRESS
use strict;
use warnings;
use Socket qw(:all);

my ($address) = @ARGV;
my $six = $address =~ /:/;
# Protocol, then types: request, reply, unreachable.
my ($protocol, $request, $reply, $unreachable) = $six ? (58, 128, 129, 1) : (1, 8, 0, 3);
my $header = $six ? 0 : 20;
my $to = $six ? pack_sockaddr_in6(0, inet_pton(AF_INET6, $address)) : pack_sockaddr_in(0, inet_aton($address));

socket(my $socket, $six ? AF_INET6 : AF_INET, SOCK_RAW, $protocol) or die "socket: $!";
my ($id, $sequence) = ($$ & 0xffff, 1);
# The sum of everything in ones' complement; the kernel puts that of IPv6 in.
my $sum = ($request << 8) + $id + $sequence;
$sum = ($sum & 0xffff) + ($sum >> 16);
send($socket, pack('CCnnn', $request, 0, ~$sum & 0xffff, $id, $sequence), 0, $to) // die "send: $!";

my $ready = '';
vec($ready, fileno $socket, 1) = 1;
while (select(my $found = $ready, undef, undef, 1)) {
  recv($socket, my $packet, 1500, 0) // die "recv: $!";
  my ($type, undef, undef, $theirs) = unpack 'CCnn', substr $packet, $header;
  if ($type == $unreachable) { print "unreachable\n"; exit }
  if ($type == $reply && $theirs == $id) { print "reply\n"; exit }
}
print "nothing\n";
