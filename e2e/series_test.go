package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// series counts the time series of /metrics.
func series(e *siptest.Edge) (n int) {
	for line := range strings.Lines(e.Metrics()) {
		if !strings.HasPrefix(line, "#") {
			n++
		}
	}
	return n
}

// TestInventions is row F7 of the audit: 10,000 methods, User-Agents, reasons and response codes that somebody makes up add no time series, and
// next to nothing to the log.
func TestInventions(t *testing.T) {
	r := newRig(t, udp, nil)
	phone := r.phone("mallory")
	requests := func() float64 { return r.edge.Counter("ringwall_requests_received_total") }
	before, logged := series(r.edge), len(r.edge.Log())
	for i := range 10_000 {
		m := phone.Request(fmt.Sprintf("INVENTED%d", i), fmt.Sprintf("sip:user%d@example.com", i))
		m.Set("User-Agent", fmt.Sprintf("agent/%d", i)).Set("Reason", fmt.Sprintf("invented;cause=%d", i))
		phone.SendTo(r.edge.Outside, "udp", m.String())
		_, rest, _ := strings.Cut(m.String(), "\r\n")
		phone.SendTo(r.edge.Outside, "udp", fmt.Sprintf("SIP/2.0 %d Invented\r\n%s", 100+i%600, rest))
		if i%500 == 499 { // let the edge keep up
			want := float64(i) * 9 / 10
			siptest.Eventually(func() bool { return requests() >= want })
		}
	}
	if got := requests(); got < 5000 {
		t.Fatalf("only %v requests arrived: the row tests nothing", got)
	}
	if after := series(r.edge); after != before {
		t.Errorf("%d time series became %d", before, after)
	}
	if log := r.edge.Log()[logged:]; strings.Count(log, "\n") > 100 || len(log) > 40_000 || strings.Contains(log, "level=ERROR") {
		t.Errorf("%d lines of %d bytes were logged:\n%.2000s", strings.Count(log, "\n"), len(log), log)
	}
}
