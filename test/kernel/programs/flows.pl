# Puts flows into netfilter's table through ctnetlink, as conntrack(8) does one by one: established TCP connections over
# IPv4, translated to a destination. flows.pl COUNT CLIENT SERVICE,... DESTINATION,..., each ADDRESS:PORT. Entries are those
# that feed.js makes of the same words. Ends with an error when the kernel refuses any.
use strict;
use warnings;
use Socket qw(:all);

my ($NETLINK, $NETFILTER) = (16, 12);
# NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_NEW; NLM_F_REQUEST, NLM_F_EXCL and NLM_F_CREATE.
my ($NEW, $FLAGS) = (0x100, 0x601);
my $NESTED = 0x8000;
my ($TIMEOUT, $ESTABLISHED) = (3600, 3);
my $BATCH = 200;

my ($count, $client, $services, $destinations) = @ARGV;

sub end_of { my ($host, $port) = split /:/, shift; return [inet_aton($host), $port] }

sub attribute {
  my ($type, $value) = @_;
  return pack('SSa*x![4]', 4 + length $value, $type, $value);
}

sub tuple {
  my ($type, $from, $to) = @_;
  my $ip = attribute(1, $from->[0]) . attribute(2, $to->[0]);
  my $ports = attribute(1, pack 'C', 6) . attribute(2, pack 'n', $from->[1]) . attribute(3, pack 'n', $to->[1]);
  return attribute($type | $NESTED, attribute(1 | $NESTED, $ip) . attribute(2 | $NESTED, $ports));
}

my $state = attribute(4 | $NESTED, attribute(1 | $NESTED, attribute(1, pack 'C', $ESTABLISHED)));
my $rest = $state . attribute(7, pack 'N', $TIMEOUT);

socket(my $socket, $NETLINK, SOCK_RAW, $NETFILTER) or die "netlink: $!";
my $refusals = '';
my $flush = sub {
  send($socket, $_[0], 0) or die "send: $!";
  # Only refusals are answered.
  die 'refused: errno ' . -unpack('x16 l', $refusals) if defined recv($socket, $refusals, 4096, MSG_DONTWAIT);
};

my ($base, $port) = (unpack('N', end_of($client)->[0]), end_of($client)->[1]);
my @services = map { end_of($_) } split /,/, $services;
my @destinations = map { end_of($_) } split /,/, $destinations;
my $batch = '';
for my $i (0 .. $count - 1) {
  my $from = [pack('N', $base + $i), $port + $i % (65536 - $port)];
  my $service = $services[$i % @services];
  my $destination = $destinations[int($i / @services) % @destinations];
  my $flow = tuple(1, $from, $service) . tuple(2, $destination, $from) . $rest;
  $batch .= pack('LSSLL CCn', 20 + length $flow, $NEW, $FLAGS, $i, 0, AF_INET, 0, 0) . $flow;
  if ($i % $BATCH == $BATCH - 1) { $flush->($batch); $batch = '' }
}
$flush->($batch) if $batch ne '';
print "$count\n";
