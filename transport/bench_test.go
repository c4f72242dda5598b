package transport

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

// generatorEnv makes a second process of the test binary the load generator, so that the CPU time of this one is the
// transport's alone.
const generatorEnv = "RINGWALL_TRANSPORT_GENERATOR"

const (
	window  = 64
	sources = 16
	size    = 600
)

// generate keeps window datagrams in flight between itself and to, until its standard input ends.
func generate(to string) {
	cfg := Config{Workers: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for i := range sources {
		cfg.Listen = append(cfg.Listen, udp(edge.Outside, fmt.Sprintf("127.0.0.%d:0", i+1)))
	}
	s, err := Open(cfg)
	if err != nil {
		panic(err)
	}
	st := &stage{on: echo}
	s.Serve(func(o *Out) Lane { return &fakeLane{st, o} })
	o := s.NewOut()
	for i := range window {
		_ = o.Send([]byte(strings.Repeat("x", size)), edge.Flow{Remote: addr(to), Listener: uint16(i % sources)})
	}
	o.Flush()
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Close()
}

// measure runs the generator against to until b.N datagrams have been counted, and reports CPU time per datagram that went
// in and out.
func measure(b *testing.B, to netip.AddrPort, count func() uint64) {
	g := exec.Command(os.Args[0])
	g.Env = append(os.Environ(), generatorEnv+"="+to.String())
	stdin, err := g.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := g.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { stdin.Close(); _ = g.Wait() }()
	eventually(b, "traffic", func() bool { return count() > 1000 })
	b.ReportAllocs()
	b.ResetTimer()
	first, cpu := count(), cpuTime(b)
	for count()-first < uint64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(count()-first), "cpu-ns/packet")
	b.StopTimer()
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEcho is one datagram in and one out through the room.
func BenchmarkEcho(b *testing.B) {
	for _, side := range []edge.Side{edge.Outside, edge.Inside} {
		b.Run(sideName(side), func(b *testing.B) {
			s := serve(b, Config{Listen: []Listen{udp(side, "127.0.0.1:0")}, Workers: 1}, &stage{on: echo})
			measure(b, s.Listeners()[0].Addr, s.count.packetsIn.Load)
		})
	}
}

// BenchmarkFloor is the same with the two system calls and nothing else.
func BenchmarkFloor(b *testing.B) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr("127.0.0.1:0")))
	if err != nil {
		b.Fatal(err)
	}
	raw, _ := conn.SyscallConn()
	r := newReceiver(&udpSocket{raw: raw}, 2048)
	var total counts
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			n, err := r.next()
			if err != nil {
				return
			}
			for i := range n {
				r.iovs[i].SetLen(int(r.hdrs[i].len))
			}
			_ = raw.Write(func(fd uintptr) bool {
				_, _, _ = unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&r.hdrs[0])), uintptr(n), 0, 0, 0)
				return true
			})
			for i := range n {
				r.iovs[i].SetLen(2048)
				r.reset(i)
			}
			total.packetsIn.Add(uint64(n))
		}
	}()
	measure(b, conn.LocalAddr().(*net.UDPAddr).AddrPort(), total.packetsIn.Load)
	conn.Close()
	<-done
}
