package e2e

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestSlowLingering measures what transactions that are over cost while they linger: the growth of the resident set by 50,000 calls and
// 50,000 registrations of strangers, by the number of transactions on record.
func TestSlowLingering(t *testing.T) {
	slow(t)
	platform := newSink(t)
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:" + platform.addr.String()}},
		siptest.Keys{"limits": "{memory: 4GiB, calls: 50000}", "timers": "{linger: 5m, drain: 300ms}", "checks": "{mode: off}"})
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(foreign(1))}, net.UDPAddrFromAddrPort(e.Outside))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, what := range []string{"registrations", "calls"} {
		for _, n := range []int{5_000, 50_000} { // the first makes the tables ready
			before, memory := e.Counter("ringwall_transactions "), e.Memory()
			for i := range n {
				id := what + strconv.Itoa(n) + "-" + strconv.Itoa(i)
				if what == "calls" {
					wholeCall(t, c, id)
				} else {
					exchange(t, c, plainRequest("REGISTER", "udp", id, ""))
				}
			}
			time.Sleep(time.Second)
			count, grown := e.Counter("ringwall_transactions ")-before, float64(e.Memory()-memory)
			t.Logf("%d %s: %.0f transactions on record, the resident set grew by %.1f MiB: %.0f bytes each", n, what, count, grown/(1<<20), grown/count)
			if n == 50_000 && grown/count > 900 {
				t.Errorf("%s: %.0f bytes for a transaction that is over", what, grown/count)
			}
		}
	}
}

// wholeCall is INVITE, 200, ACK, BYE, 200.
func wholeCall(t *testing.T, c *net.UDPConn, id string) {
	ok := exchange(t, c, plainRequest("INVITE", "udp", id, ""))
	_, route, _ := strings.Cut(ok, "Record-Route: ")
	route, _, _ = strings.Cut(route, "\r\n")
	inDialog := func(method, branch string) []byte {
		b := bytes.Replace(plainRequest(method, "udp", id, "Route: "+route+"\r\n"), []byte("bob@example.com>\r\nCall"), []byte("bob@example.com>;tag=sink\r\nCall"), 1)
		return bytes.Replace(b, []byte("z9hG4bK"), []byte("z9hG4bK"+branch), 1)
	}
	if _, err := c.Write(inDialog("ACK", "a")); err != nil {
		t.Fatal(err)
	}
	exchange(t, c, inDialog("BYE", "b"))
}

// exchange sends a request, again if need be, and returns its 200.
func exchange(t *testing.T, c *net.UDPConn, request []byte) string {
	_, id, _ := bytes.Cut(request, []byte("Call-ID: "))
	id, _, _ = bytes.Cut(id, []byte("\r\n"))
	buf := make([]byte, 2048)
	for range 10 {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		for {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			if bytes.HasPrefix(buf[:n], []byte("SIP/2.0 200")) && bytes.Contains(buf[:n], append([]byte("Call-ID: "), id...)) {
				return string(buf[:n])
			}
		}
	}
	t.Fatalf("no 200 to\n%s", request)
	return ""
}
