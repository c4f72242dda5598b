package replay

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"syscall"
	"testing"
)

// everyday is a capture of phones that register and call, n of each kind: 11 messages a phone.
func everyday(t testing.TB, n int) []byte {
	c := newTape(t)
	for i := range n {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(10_000+i%20_000))
		user := fmt.Sprintf("%d", 10_000+i)
		c.register(from, user, "right", 1, 200)
		invite := request{method: "INVITE", uri: "sip:2002@example.com", user: user, id: "c" + user, cseq: 1}
		c.udp(from, platform, invite.String())
		c.udp(platform, from, reply(invite.String(), 100, ""))
		c.udp(platform, from, reply(invite.String(), 180, "platform-tag-5"))
		c.udp(platform, from, reply(invite.String(), 200, "platform-tag-5"))
		next := invite
		next.toTag, next.method, next.branch = "platform-tag-5", "ACK", "z9hG4bK-ack-"+user
		c.udp(from, platform, next.String())
		next.method, next.branch, next.cseq = "BYE", "", 2
		c.udp(from, platform, next.String())
		c.udp(platform, from, reply(next.String(), 200, ""))
	}
	return c.bytes()
}

// BenchmarkRun is one message, all checks on, reading included. Goal: 2,000 ns on one core. The least of several runs is what it takes where nothing
// else is at work.
func BenchmarkRun(b *testing.B) {
	const phones = 20_000
	file := everyday(b, phones)
	b.ReportAllocs()
	n, least := 0, math.Inf(1)
	b.ResetTimer()
	for n < b.N {
		before := cpuTime(b)
		r, err := Run(bytes.NewReader(file), Config{Inside: inside, Checks: allChecks(), Key: testKey})
		if err != nil {
			b.Fatal(err)
		}
		n += int(r.Messages)
		least = min(least, float64(cpuTime(b)-before)/float64(r.Messages))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(least, "least-cpu-ns/msg")
}

// cpuTime is what the process has used of a core so far, in nanoseconds, the garbage collector included: what counts where a machine has
// other things to do.
func cpuTime(t testing.TB) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
