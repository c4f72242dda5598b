package event

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// Sizes of the closed label sets. A value outside its set is counted as "other".
const (
	sides      = 2
	transports = int(edge.Transports)
	methods    = int(sip.MESSAGE) + 1 // 0 is MethodOther
	classes    = 7                    // 1xx to 6xx; 0 is anything else
	maxReasons = 256                  // 0 is "other"
	shards     = 16                   // Counters that lanes share between them
)

// Metrics is every counter and gauge of the process, as one prometheus.Collector. The number of its series is fixed when
// the first message arrives: no invented method, reason or address makes a new one.
//
// Make it, register reasons and gauges, hand it to the rooms; after that only Lane, Collect and Describe may be called.
type Metrics struct {
	shards  [shards]Counters
	next    atomic.Uint32
	reasons map[edge.Reason]uint8
	names   []string // reason of each index
	funcs   []sampled
}

// sampled is a metric whose value is asked for when it is collected.
type sampled struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	f    func() float64
}

// NewMetrics makes the counters, all zero.
func NewMetrics() *Metrics {
	m := &Metrics{reasons: map[edge.Reason]uint8{}, names: []string{"other"}}
	for i := range m.shards {
		m.shards[i].reasons = &m.reasons
	}
	return m
}

// Reasons makes a series of its own for each of the reasons; any other is counted as "other", as are those beyond 255.
func (m *Metrics) Reasons(reasons ...edge.Reason) {
	for _, r := range reasons {
		if _, known := m.reasons[r]; known || len(m.names) == maxReasons {
			continue
		}
		m.reasons[r] = uint8(len(m.names))
		m.names = append(m.names, string(r))
	}
}

// Gauge adds a gauge without labels; f is called at each collection, by any goroutine. Name and help follow Prometheus'
// conventions, the prefix "ringwall_" included.
func (m *Metrics) Gauge(name, help string, f func() float64) {
	m.sample(name, help, prometheus.GaugeValue, f)
}

// Counter adds a counter that another room keeps; f returns its value and must never fall.
func (m *Metrics) Counter(name, help string, f func() float64) {
	m.sample(name, help, prometheus.CounterValue, f)
}

func (m *Metrics) sample(name, help string, kind prometheus.ValueType, f func() float64) {
	m.funcs = append(m.funcs, sampled{prometheus.NewDesc(name, help, nil, nil), kind, f})
}

// Lane returns the Counters for one lane (or timer goroutine). A small fixed number of them is handed out in turn, so
// that workers on different cores do not fight for cache lines.
func (m *Metrics) Lane() *Counters { return &m.shards[m.next.Add(1)%shards] }

// Counters are the hot path's counters. Methods may be called by any goroutine, cost one uncontended atomic addition, and
// do not allocate.
type Counters struct {
	reasons *map[edge.Reason]uint8

	requests        [2][sides][transports][methods]atomic.Uint64 // by direction
	replies         [2][sides][transports][classes]atomic.Uint64
	retransmissions [sides]atomic.Uint64
	refused         [maxReasons]atomic.Uint64
	_               [64]byte // the next shard begins on another cache line
}

// Directions of requests and replies.
const (
	received = iota
	sent
)

// Received counts m, parsed and judged, which came from a flow of this side and transport.
func (c *Counters) Received(from edge.Flow, m *sip.Message) {
	if m.IsRequest() {
		c.request(received, from, m.Method)
		return
	}
	c.reply(received, from, m.Status)
}

// SentRequest counts a request passed to the transport.
func (c *Counters) SentRequest(to edge.Flow, method sip.Method) { c.request(sent, to, method) }

// SentReply counts a response passed to the transport.
func (c *Counters) SentReply(to edge.Flow, status int) { c.reply(sent, to, status) }

// Retransmission counts a retransmission that a transaction on record absorbed or answered.
func (c *Counters) Retransmission(from edge.Flow) { c.retransmissions[from.Side%sides].Add(1) }

// Refused counts a message that was turned away for this reason, replied to or not.
func (c *Counters) Refused(r edge.Reason) { c.refused[(*c.reasons)[r]].Add(1) }

func (c *Counters) request(dir int, f edge.Flow, method sip.Method) {
	if int(method) >= methods {
		method = sip.MethodOther
	}
	c.requests[dir][f.Side%sides][int(f.Transport)%transports][method].Add(1)
}

func (c *Counters) reply(dir int, f edge.Flow, status int) {
	class := status / 100
	if class < 0 || class >= classes {
		class = 0
	}
	c.replies[dir][f.Side%sides][int(f.Transport)%transports][class].Add(1)
}
