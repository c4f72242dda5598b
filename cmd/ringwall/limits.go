package main

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/memory"
	"github.com/ringwall/ringwall/transport"
)

// reasonMemory: memory is short of limits.memory (event, and `ringwall status`).
const reasonMemory edge.Reason = "limit.memory"

const (
	// connectionCost is what a connection takes at most while nothing is queued for it and no large message is half read: TLS, its
	// goroutine's stack, buffers. Bytes.
	connectionCost = 32 << 10
	// mostConnections and leastConnections bound what limits.connections: auto comes to.
	mostConnections, leastConnections = 65_536, 64
	// leastLines is how many lines of media there are, however few descriptors.
	leastLines = 4
	// otherDescriptors is kept for files, the admin port, name look-ups and connections that are being refused.
	otherDescriptors = 256
)

// A budget shares limits.memory out among what can grow: transactions may take half, connections a quarter, messages that are half read
// a 16th, those that wait to be written another. The rest is for bindings, names, the runtime, and what nobody thought of.
type budget struct {
	connections int // number
	reading     int // bytes of messages that have not come whole
	queued      int // bytes that wait to be written on all connections
	wanted      int // connections, if the operator asked for more than descriptors allow; else 0
	lines       int // of media at once
}

// transactionBytes is what transactions may keep: half of memory, or what most of the usual size take.
func transactionBytes(limit int64, most int) int { return int(min(limit/2, int64(most)*2<<10)) }

// share makes the rest of the budget for cfg. sockets is the number of descriptors that listeners take, lines how many lines of media ports
// allow, files how many descriptors the process may have.
func share(cfg *config.Config, sockets, lines, files int) budget {
	limit := memoryLimit(cfg.Limits.Memory)
	b := budget{reading: max(int(limit/16), 4*cfg.Limits.Message), queued: max(int(limit/16), 1<<20)}
	allowed := files - sockets - otherDescriptors
	b.lines = min(lines, max(allowed/2/media.Descriptors, leastLines))
	allowed = max(allowed-b.lines*media.Descriptors, leastConnections)
	b.connections = cfg.Limits.Connections
	if b.connections == 0 {
		b.connections = max(min(int(limit/4/connectionCost), mostConnections, allowed), leastConnections)
	} else if b.connections > allowed {
		b.wanted, b.connections = b.connections, allowed
	}
	return b
}

// mediaLines is how many lines of media can have ports at once: each takes a pair of one address on each side.
func mediaLines(m *config.Media, places []transport.Listen) int {
	if m.Relay != config.RelayBuiltIn {
		return 0
	}
	own := [2]map[netip.Addr]bool{{}, {}}
	for _, p := range places {
		own[p.Side][p.Addr.Addr()] = true
	}
	pairs := (int(m.Ports.Last) + 1 - int(m.Ports.First)) / 2
	return min(pairs*min(len(own[edge.Outside]), len(own[edge.Inside])), media.MostStreams)
}

// givenLimit is the memory limit that the process was started with: GOMEMLIMIT, or none.
var givenLimit = debug.SetMemoryLimit(-1)

// memoryLimit is limits.memory, with 0 for auto.
func memoryLimit(limit int64) int64 {
	switch {
	case limit != 0:
		return limit
	case givenLimit != math.MaxInt64:
		return givenLimit
	}
	return memory.Auto()
}

// mostFiles is how many files this process may have open. Go's runtime has raised the soft limit to the hard one at start.
func mostFiles() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 1024
	}
	return int(min(lim.Cur, math.MaxInt32))
}

// socketsOf is the number of descriptors that n listeners take at most: a socket per worker, on UDP, and a spread socket for each.
func socketsOf(n int) int { return n * 2 * runtime.GOMAXPROCS(0) }

// pressed tells the operator that memory got shorter, or less short.
func (s *service) pressed(p edge.Pressure, used int64, at time.Time) {
	e := edge.Event{At: at, Name: event.Memory, Message: shortage(p, used, s.memory.Limit())}
	if p != edge.Calm {
		e.Reason = reasonMemory
	}
	s.ring.Add(e)
}

// shortage says what p means.
func shortage(p edge.Pressure, used, limit int64) string {
	now := fmt.Sprintf("%d of %d MiB of memory (limits.memory) are in use, ", used>>20, limit>>20)
	switch p {
	case edge.Tight:
		return now + "unknown sources begin nothing that must be remembered"
	case edge.Scarce:
		return now + "unknown sources begin nothing"
	case edge.Drought:
		return now + "nobody begins anything new"
	}
	return now + "which is enough for everybody"
}

// memoryState is the part of status about memory. Its names are stable.
type memoryState struct {
	Used     int64  `json:"used"`     // bytes
	Limit    int64  `json:"limit"`    // bytes
	Pressure string `json:"pressure"` // "calm", "tight", "scarce", "drought"
}

// String is m for a reader.
func (m memoryState) String() string {
	return fmt.Sprintf("%d of %d MiB, %s", m.Used>>20, m.Limit>>20, m.Pressure)
}
