package main

import (
	"math"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/memory"
	"github.com/ringwall/ringwall/transport"
)

func TestShare(t *testing.T) {
	for name, c := range map[string]struct {
		limits string
		files  int
		want   budget
	}{
		"by memory":        {"memory: 512MiB", 1 << 20, budget{connections: 4096, reading: 32 << 20, queued: 32 << 20}},
		"by descriptors":   {"memory: 512MiB", 4000, budget{connections: 4000 - 40 - otherDescriptors, reading: 32 << 20, queued: 32 << 20}},
		"at most":          {"memory: 1024GiB", 1 << 20, budget{connections: mostConnections, reading: 64 << 30, queued: 64 << 30}},
		"at least":         {"memory: 64MiB", 100, budget{connections: leastConnections, reading: 4 << 20, queued: 4 << 20}},
		"as asked":         {"memory: 64MiB, connections: 100000", 1 << 20, budget{connections: 100_000, reading: 4 << 20, queued: 4 << 20}},
		"more than files":  {"memory: 64MiB, connections: 100000", 20_000, budget{connections: 20_000 - 40 - otherDescriptors, wanted: 100_000, reading: 4 << 20, queued: 4 << 20}},
		"few as asked":     {"memory: 64MiB, connections: 16", 20_000, budget{connections: 16, reading: 4 << 20, queued: 4 << 20}},
		"no files to name": {"memory: 64MiB, connections: 16", 10, budget{connections: 16, reading: 4 << 20, queued: 4 << 20}},
	} {
		if got := share(configOf(t, "limits: {"+c.limits+"}"), 40, 0, c.files); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	for files, want := range map[int]budget{ // media takes four of them a line, half at most
		4296:    {connections: 2000, lines: 500},
		1 << 20: {connections: mostConnections, lines: 5000},
		100_296: {connections: mostConnections, lines: 5000},
		60_296:  {connections: 40_000, lines: 5000},
		300:     {connections: leastConnections, lines: leastLines},
	} {
		want.reading, want.queued = 64<<30, 64<<30
		if got := share(configOf(t, "limits: {memory: 1024GiB}"), 40, 5000, files); got != want {
			t.Errorf("of %d files: %+v, want %+v", files, got, want)
		}
	}
	if n := transactionBytes(512<<20, 200_000); n != 256<<20 {
		t.Errorf("transactions get %d of 512 MiB", n)
	}
	if n := transactionBytes(64<<30, 200_000); n != 200_000*2<<10 {
		t.Errorf("200,000 transactions get %d of 64 GiB", n)
	}
}

// TestMediaLines: a line takes a pair of ports on each side, so the side with fewer addresses says how many there are.
func TestMediaLines(t *testing.T) {
	place := func(side edge.Side, addr string) transport.Listen {
		return transport.Listen{Side: side, Addr: netip.MustParseAddrPort(addr)}
	}
	out, out6, in, in6 := place(edge.Outside, "192.0.2.1:5060"), place(edge.Outside, "[2001:db8::1]:5060"), place(edge.Inside, "10.0.0.1:5070"), place(edge.Inside, "[fd00::1]:5070")
	for _, c := range []struct {
		media  string
		places []transport.Listen
		want   int
	}{
		{"", []transport.Listen{out, out, in}, 5000},
		{"", []transport.Listen{out, out6, in, in}, 5000},
		{"", []transport.Listen{out, out6, in, in6}, 10_000},
		{"ports: 40000-40015", []transport.Listen{out, in}, 8},
		{"ports: 30000-59999", []transport.Listen{out, out6, in, in6}, media.MostStreams},
		{"relay: off", []transport.Listen{out, in}, 0},
		{"relay: rtpengine, rtpengine: [udp:127.0.0.1:2223]", []transport.Listen{out, in}, 0},
	} {
		cfg := configOf(t, "media: {"+c.media+"}")
		if got := mediaLines(&cfg.Media, c.places); got != c.want {
			t.Errorf("%q: %d lines, want %d", c.media, got, c.want)
		}
	}
}

// TestBudgetFits: what can grow fits in, whatever the size.
func TestBudgetFits(t *testing.T) {
	for _, mib := range []int64{64, 512, 4096, 1 << 20} {
		cfg := config.Default()
		cfg.Limits.Memory, cfg.Limits.Calls = mib<<20, 1_000_000
		b := share(cfg, 40, 5000, math.MaxInt32)
		all := int64(proxyConfig(cfg, nil, nil).Transactions.Bytes + b.reading + b.queued + b.connections*connectionCost)
		if limit := mib << 20; all > limit*9/10 {
			t.Errorf("%d MiB: %d are promised", mib, all>>20)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	defer func(was int64) { givenLimit = was }(givenLimit)
	givenLimit = math.MaxInt64
	if got := memoryLimit(0); got != memory.Auto() {
		t.Errorf("auto is %d", got)
	}
	givenLimit = 300 << 20 // GOMEMLIMIT=300MiB
	if got := memoryLimit(0); got != 300<<20 {
		t.Errorf("the environment's: %d", got)
	}
	if got := memoryLimit(100); got != 100 {
		t.Errorf("the operator's: %d", got)
	}
}

// TestMostFiles: Go has raised the soft limit.
func TestMostFiles(t *testing.T) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if n := mostFiles(); uint64(n) != min(lim.Max, math.MaxInt32) {
		t.Errorf("%d of %d", n, lim.Max)
	}
}

// TestPressed: each change of pressure is an event, with a reason only while memory is short.
func TestPressed(t *testing.T) {
	s := &service{ring: event.NewRing(64), memory: memory.New(500<<20, nil)}
	for _, c := range []struct {
		p      edge.Pressure
		reason edge.Reason // "" for none
		text   string
	}{
		{edge.Tight, reasonMemory, "must be remembered"}, {edge.Scarce, reasonMemory, "begin nothing"},
		{edge.Drought, reasonMemory, "nobody begins"}, {edge.Calm, "", "enough for everybody"},
	} {
		s.pressed(c.p, 400<<20, time.Unix(1, 0))
		e, ok := s.ring.Next()
		if !ok || e.Name != event.Memory || e.Reason != c.reason || !strings.Contains(e.Message, c.text) ||
			!strings.HasPrefix(e.Message, "400 of 500 MiB") {
			t.Errorf("%v: %+v", c.p, e)
		}
	}
}
