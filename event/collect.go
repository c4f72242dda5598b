package event

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// Label values of the closed sets.
var (
	sideNames = [sides]string{"outside", "inside"}
)

// Descriptions of the built-in series.
var (
	requestDescs = [2]*prometheus.Desc{
		describe("ringwall_requests_received_total", "Requests received, parsed and judged.", "side", "transport", "method"),
		describe("ringwall_requests_sent_total", "Requests sent.", "side", "transport", "method"),
	}
	replyDescs = [2]*prometheus.Desc{
		describe("ringwall_responses_received_total", "Responses received.", "side", "transport", "class"),
		describe("ringwall_responses_sent_total", "Responses sent.", "side", "transport", "class"),
	}
	retransmissionDesc = describe("ringwall_retransmissions_total", "Retransmissions absorbed by a transaction.", "side")
	refusedDesc        = describe("ringwall_refused_total", "Messages turned away, by reason id.", "reason")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for dir := range requestDescs {
		ch <- requestDescs[dir]
		ch <- replyDescs[dir]
	}
	ch <- retransmissionDesc
	ch <- refusedDesc
	for _, s := range m.funcs {
		ch <- s.desc
	}
}

// Collect implements prometheus.Collector. It always sends the same number of series.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	emit := func(d *prometheus.Desc, of func(*Counters) *atomic.Uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(m.sum(of)), labels...)
	}
	for side, sideName := range sideNames {
		for t := range transports {
			transport := edge.Transport(t).String()
			for dir := range requestDescs {
				for method := range methods {
					emit(requestDescs[dir], func(c *Counters) *atomic.Uint64 { return &c.requests[dir][side][t][method] },
						sideName, transport, methodName(method))
				}
				for class := range classes {
					emit(replyDescs[dir], func(c *Counters) *atomic.Uint64 { return &c.replies[dir][side][t][class] },
						sideName, transport, className(class))
				}
			}
		}
		emit(retransmissionDesc, func(c *Counters) *atomic.Uint64 { return &c.retransmissions[side] }, sideName)
	}
	for i, reason := range m.names {
		emit(refusedDesc, func(c *Counters) *atomic.Uint64 { return &c.refused[i] }, reason)
	}
	for _, s := range m.funcs {
		ch <- prometheus.MustNewConstMetric(s.desc, s.kind, s.f())
	}
}

// sum adds one counter up over all shards.
func (m *Metrics) sum(of func(*Counters) *atomic.Uint64) (n uint64) {
	for i := range m.shards {
		n += of(&m.shards[i]).Load()
	}
	return n
}

func methodName(i int) string {
	if sip.Method(i) == sip.MethodOther {
		return "other"
	}
	return sip.Method(i).String()
}

func className(i int) string {
	if i == 0 {
		return "other"
	}
	return strconv.Itoa(i) + "xx"
}
