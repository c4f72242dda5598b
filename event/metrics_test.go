package event

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// TestSeriesAreConstant is audit row F7: invented methods, reasons and status codes make no series.
func TestSeriesAreConstant(t *testing.T) {
	m := NewMetrics()
	m.Reasons("malformed.start_line", "access.method", "access.method")
	before := testutil.CollectAndCount(m)
	for i := range 10_000 {
		lane := m.Lane()
		from := edge.Flow{Side: edge.Side(i), Transport: edge.Transport(i)}
		lane.Received(from, &sip.Message{Method: sip.Method(i)})
		lane.Received(from, &sip.Message{Status: i - 5000})
		lane.SentRequest(from, sip.Method(i))
		lane.SentReply(from, i)
		lane.Retransmission(from)
		lane.Refused(edge.Reason(fmt.Sprintf("invented.%d", i)))
	}
	if after := testutil.CollectAndCount(m); after != before {
		t.Errorf("%d series grew to %d", before, after)
	}
	if problems, err := testutil.CollectAndLint(m); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestMetricsValues(t *testing.T) {
	m := NewMetrics()
	m.Reasons("access.method")
	m.Gauge("ringwall_bindings", "Live bindings.", func() float64 { return 7 })
	m.Counter("ringwall_events_dropped_total", "Events dropped.", func() float64 { return 3 })
	var wg sync.WaitGroup
	for range 2 * shards {
		wg.Go(func() {
			lane := m.Lane()
			lane.Received(edge.Flow{Side: edge.Inside, Transport: edge.TCP}, &sip.Message{Method: sip.REGISTER})
			lane.SentReply(edge.Flow{}, 180)
			lane.Refused("access.method")
			lane.Refused("surprise")
		})
	}
	wg.Wait()
	want := map[string]float64{
		"requests_received_total{method=REGISTER,side=inside,transport=tcp}": 32,
		"responses_sent_total{class=1xx,side=outside,transport=udp}":         32,
		"refused_total{reason=access.method}":                                32,
		"refused_total{reason=other}":                                        32,
		"bindings":                                                           7,
		"events_dropped_total":                                               3,
	}
	for name, value := range gather(t, m) {
		if value == 0 && want[name] == 0 {
			continue
		}
		if value != want[name] {
			t.Errorf("%s is %v, want %v", name, value, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not collected: %v", want)
	}
}

// gather returns every series of m by name and labels.
func gather(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, s := range f.Metric {
			var labels []string
			for _, l := range s.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "ringwall_")
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			all[name] = s.GetCounter().GetValue() + s.GetGauge().GetValue()
		}
	}
	return all
}

// TestReasonsAreBounded registers more reasons than there is room for.
func TestReasonsAreBounded(t *testing.T) {
	m := NewMetrics()
	for i := range 2 * maxReasons {
		m.Reasons(edge.Reason(fmt.Sprintf("r.%d", i)))
	}
	if got := len(m.names); got != maxReasons {
		t.Errorf("%d reasons, want %d", got, maxReasons)
	}
	m.Lane().Refused("r.300")
	if got := m.sum(func(c *Counters) *atomic.Uint64 { return &c.refused[0] }); got != 1 {
		t.Errorf("a reason beyond the bound was counted %d times as other", got)
	}
}
