# The first process of the lab's kernel, run from the host's own file tree: `perl guest.pl DIRECTORY`.
#
# It makes the new kernel habitable, starts the command that DIRECTORY/job describes, and carries its
# streams, signals, window size and exit status over one serial line, in the frames that wire.ts
# describes. Perl, because Debian's base system has it, it starts in 50 ms where Node takes a second,
# and unlike a shell it passes any bytes in arguments and can wait on several streams at once.
use strict;
use warnings;

my ($dir) = @ARGV;

# x86-64, the only architecture there is a packaged user-mode kernel for.
my %number = (setsid => 112, sync => 162, mount => 165, reboot => 169, pidfd_open => 434);

use constant {
    O_RDWR => 2, O_NOCTTY => 0400, O_NONBLOCK => 04000, F_GETFL => 3, F_SETFL => 4,
    TCGETS => 0x5401, TCSETS => 0x5402, TIOCSCTTY => 0x540e, TIOCSWINSZ => 0x5414,
    TIOCGPTN => 0x80045430, TIOCSPTLCK => 0x40045431,
    AF_INET => 2, SOCK_DGRAM => 2, SIOCSIFFLAGS => 0x8914, IFF_UP => 1,
    WNOHANG => 1, ENOENT => 2,
    WINDOW => 65536,     # bytes of one stream that may be on their way, as in wire.ts
};

# Frame types, as in wire.ts.
use constant {
    STDIN_DATA => 0, STDOUT_DATA => 1, STDERR_DATA => 2,
    READY => 3, FAILED => 4, EXITED => 5, TAKEN => 6, CLOSED => 7, RESIZED => 8, SIGNALLED => 9,
    READ => 10,
};

# Here and at every ioctl, strings go through variables: perl hands them over as writable memory.
sub call {
    my ($name, @arguments) = @_;
    return syscall $number{$name}, @arguments;
}

sub mount_on {
    my ($type, $where, $options) = @_;
    mkdir $where;
    call('mount', $type, $where, $type, 0, $options) == 0 or die "mount $type on $where: $!\n";
}

sub put {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!\n";
    print $file $text;
    close $file or die "$path: $!\n";
}

sub furnish {
    mount_on('proc', '/proc', '');
    mount_on('sysfs', '/sys', '');
    mount_on('devpts', '/dev/pts', 'ptmxmode=0666,mode=0620');
    mount_on('tmpfs', '/dev/shm', 'mode=1777');
    mount_on('tmpfs', '/run', 'mode=0755');
    mkdir "/run/$_" for qw(lab lab/lib netns lock);
    symlink '/proc/self/fd', '/dev/fd';
    symlink "/proc/self/fd/$_->[0]", "/dev/$_->[1]" for [0, 'stdin'], [1, 'stdout'], [2, 'stderr'];
    put('/proc/sys/kernel/hostname', 'lab');

    # The kernel starts this program when something it has as a module is asked for.
    symlink '/usr/lib/uml/modules', '/run/lab/lib/modules';
    put('/run/lab/modprobe', "#!/bin/sh\nexec modprobe -d /run/lab \"\$@\"\n");
    chmod 0755, '/run/lab/modprobe';
    put('/proc/sys/kernel/modprobe', '/run/lab/modprobe');

    socket my $socket, AF_INET, SOCK_DGRAM, 0 or die "socket: $!\n";
    my $request = pack 'a16 s x22', 'lo', IFF_UP;
    ioctl $socket, SIOCSIFFLAGS, $request or die "lo: $!\n";
}

# Both ends of the serial line and an output-only terminal pass bytes as they are.
sub make_raw {
    my ($tty, $oflag_only) = @_;
    my $termios = "\0" x 64;
    ioctl $tty, TCGETS, $termios or die "tcgetattr: $!\n";
    my ($iflag, $oflag, $cflag, $lflag, @rest) = unpack 'L4 C20', $termios;
    ($iflag, $lflag) = (0, 0) unless $oflag_only;
    @rest[1 + 5, 1 + 6] = (0, 1) unless $oflag_only;    # VTIME, VMIN
    $termios = pack 'L4 C20', $iflag, 0, $cflag, $lflag, @rest;
    ioctl $tty, TCSETS, $termios or die "tcsetattr: $!\n";
}

sub unblock {
    my ($handle) = @_;
    fcntl $handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK or die "fcntl: $!\n";
}

my $wire;

sub tell_host {
    my ($type, $payload) = @_;
    my $frame = pack('C V', $type, length $payload) . $payload;
    my $done = 0;
    while ($done < length $frame) {
        my $written = syswrite $wire, $frame, length($frame) - $done, $done;
        if (defined $written) { $done += $written }
        elsif (!$!{EINTR}) { power_off() }
    }
}

# Also when the host has gone: it can no longer tidy up after us.
sub power_off {
    kill 'KILL', -1;
    system 'rm', '-rf', '--', $dir if -e "$dir/job";
    call('sync');
    call('reboot', 0xfee1dead, 672274793, 0x4321fedc, 0);
    sleep 60;
}

sub read_job {
    open my $file, '<:raw', "$dir/job" or die "$dir/job: $!\n";
    local $/;
    my @fields = split /\0/, scalar <$file>, -1;
    my %job;
    @job{qw(streams rows columns umask cwd argc)} = splice @fields, 0, 6;
    $job{argv} = [splice @fields, 0, $job{argc}];
    pop @fields;    # what follows the last NUL
    $job{env} = {map { split /=/, $_, 2 } @fields};
    return \%job;
}

sub resize {
    my ($terminal, $rows, $columns) = @_;
    my $size = pack 'S4', $rows, $columns, 0, 0;
    ioctl $terminal, TIOCSWINSZ, $size;
}

sub open_terminal {
    my ($job) = @_;
    sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!\n";
    my $index = pack 'I', 0;
    ioctl $master, TIOCSPTLCK, $index or die "unlockpt: $!\n";
    ioctl $master, TIOCGPTN, $index or die "ptsname: $!\n";
    sysopen my $slave, '/dev/pts/' . unpack('I', $index), O_RDWR | O_NOCTTY or die "pts: $!\n";
    resize($master, $job->{rows}, $job->{columns}) if $job->{rows};
    return ($master, $slave);
}

# Each of the three streams is p (a pipe), t (a terminal), n (nothing), or for stderr 1 (as stdout).
# Returns what the command gets and, in the same order, our own ends.
sub plumb {
    my ($job) = @_;
    my @kind = split //, $job->{streams};
    my (@theirs, @ours, $master, $slave);
    if (grep { $_ eq 't' } @kind) {
        ($master, $slave) = open_terminal($job);
        # Without a keyboard the caller's terminal does the line endings itself.
        make_raw($slave, 1) if $kind[0] ne 't';
    }
    for my $stream (0 .. 2) {
        if ($kind[$stream] eq 't') {
            $theirs[$stream] = $slave;
            $ours[$stream] = $master if $stream != 2 || $kind[1] ne 't';
        } elsif ($kind[$stream] eq 'p') {
            pipe my $reader, my $writer or die "pipe: $!\n";
            ($theirs[$stream], $ours[$stream]) =
                $stream == 0 ? ($reader, $writer) : ($writer, $reader);
        } elsif ($kind[$stream] eq '1') {
            $theirs[$stream] = $theirs[1];
        } else {
            open $theirs[$stream], '+<', '/dev/null' or die "/dev/null: $!\n";
        }
    }
    return (\@theirs, \@ours, $kind[0] eq 't' ? $slave : undef);
}

# Returns the process, or an errno and what failed.
sub start {
    my ($job, $theirs, $keyboard) = @_;
    pipe my $verdict, my $teller or die "pipe: $!\n";    # close-on-exec, so silence is success
    my $command = fork;
    die "fork: $!\n" unless defined $command;
    if ($command == 0) {
        call('setsid');
        ioctl $keyboard, TIOCSCTTY, 0 if $keyboard;
        open STDIN, '<&', $theirs->[0];
        open STDOUT, '>&', $theirs->[1];
        open STDERR, '>&', $theirs->[2];
        $SIG{PIPE} = 'DEFAULT';
        umask oct $job->{umask};
        %ENV = %{ $job->{env} };
        my $what = 'cwd';
        if (chdir $job->{cwd}) {
            $what = 'command';
            no warnings 'exec';
            exec { $job->{argv}[0] } @{ $job->{argv} };
        }
        syswrite $teller, ($! + 0) . " $what";
        kill 'KILL', $$;
    }
    close $teller;
    sysread $verdict, my $trouble, 100;
    return ($command, $trouble);
}

# Carries frames and streams until the host hangs up.
sub serve {
    my ($job, $command, $ours, $keyboard) = @_;
    my $keys = $ours->[0];
    my %output = map { $_ => $ours->[$_] } grep { $ours->[$_] } 1, 2;
    my ($terminal) = grep { $_ && -t $_ } @$ours;
    @$ours = ();    # so that dropping a stream below closes it
    my %room = (1 => WINDOW, 2 => WINDOW);
    my ($arrived, $typed, $last_typed, $status, $reported) = ('', '', 0);
    unblock($keys) if $keys;
    my $watch = call('pidfd_open', $command, 0);

    while (1) {
        my ($readable, $writable) = ('', '');
        vec($readable, fileno $wire, 1) = 1;
        vec($readable, $watch, 1) = 1 unless defined $status;
        vec($readable, fileno $output{$_}, 1) = 1 for grep { $room{$_} > 0 } keys %output;
        vec($writable, fileno $keys, 1) = 1 if $keys && length $typed;
        # The timeout is for reaping orphans, nothing else depends on it.
        next if select($readable, $writable, undef, 1) < 0;

        while ((my $child = waitpid -1, WNOHANG) > 0) {
            next if $child != $command;
            $status = $?;
            # As in a container, nothing outlives the command; what it wrote is still delivered.
            kill 'KILL', -1;
        }

        for my $stream (sort keys %output) {
            my $from = $output{$stream};
            next unless vec $readable, fileno $from, 1;
            my $count = sysread $from, my $data, $room{$stream} < 65536 ? $room{$stream} : 65536;
            next if !defined $count && ($!{EAGAIN} || $!{EINTR});
            if ($count) {
                $room{$stream} -= $count;
                tell_host($stream, $data);
            } else {    # for a terminal, no process has it open any more
                delete $output{$stream};
            }
        }

        if ($keys && length $typed) {
            my $count = syswrite $keys, $typed;
            if ($count) {
                substr $typed, 0, $count, '';
                tell_host(TAKEN, pack 'C V', 0, $count);
            } elsif (!$!{EAGAIN} && !$!{EINTR}) {
                ($keys, $typed) = (undef, '');
                tell_host(CLOSED, pack 'C', 0);
            }
        }
        $keys = undef if $last_typed && !length $typed && !$keyboard;

        if (vec $readable, fileno $wire, 1) {
            my $count = sysread $wire, $arrived, 65536, length $arrived;
            power_off() unless $count;
            tell_host(READ, pack 'V', $count);
            while (length $arrived >= 5) {
                my ($type, $length) = unpack 'C V', $arrived;
                last if length $arrived < 5 + $length;
                my $payload = substr $arrived, 5, $length;
                substr $arrived, 0, 5 + $length, '';
                if ($type == STDIN_DATA) {
                    $typed .= $payload if $keys;
                    $last_typed = 1 unless $length;
                } elsif ($type == TAKEN) {
                    my ($stream, $count) = unpack 'C V', $payload;
                    $room{$stream} += $count;
                } elsif ($type == CLOSED) {
                    delete $output{ unpack 'C', $payload };
                    $terminal = undef unless $keyboard;
                } elsif ($type == RESIZED) {
                    resize($terminal, unpack 'S2', $payload) if $terminal;
                } elsif ($type == SIGNALLED) {
                    my ($signal, $group) = unpack 'C C', $payload;
                    kill $signal, $group ? -$command : $command unless defined $status;
                }
            }
        }

        if (defined $status && !%output && !$reported) {
            call('sync');    # the host ends this kernel as soon as it hears
            tell_host(EXITED, pack 'C C', $status >> 8, $status & 127);
            $reported = 1;
        }
    }
}

$SIG{PIPE} = 'IGNORE';
furnish();
sysopen $wire, '/dev/tty1', O_RDWR | O_NOCTTY or die "/dev/tty1: $!\n";
make_raw($wire);
my $job = read_job();
my ($theirs, $ours, $keyboard) = plumb($job);
my ($command, $trouble) = start($job, $theirs, $keyboard);
@$theirs = ();
$keyboard = defined $keyboard;
if (length($trouble // '')) {
    tell_host(FAILED, $trouble);
    1 while sysread $wire, my $ignored, 1;
    power_off();
}
tell_host(READY, '');
serve($job, $command, $ours, $keyboard);
