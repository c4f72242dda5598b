// Package floor is the floor under every SIP edge: a UDP forwarder that reads no SIP. It does what an edge cannot avoid,
// receiving and sending each datagram through the kernel in batches, and nothing else. An edge's cost is quoted as a
// multiple of its cost.
package floor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/ringwall/ringwall/bench/batch"
)

// Config says where a Forwarder listens and where it sends.
type Config struct {
	Outside  netip.AddrPort // callers send here and get their answers from here
	Inside   netip.AddrPort // the platform sees this address
	Upstream netip.AddrPort // the platform
	Drop     bool           // receive and drop: the floor of refusing traffic
}

// A Forwarder moves what arrives on Outside to Upstream, from Inside, and what arrives on Inside back to the last caller.
// It reads no byte of a datagram, so there is one caller at a time: whoever sent last.
type Forwarder struct {
	cfg     Config
	outside *batch.Conn
	inside  *batch.Conn
	caller  atomic.Uint64
}

// New opens the two sockets of cfg; port 0 takes any.
func New(cfg Config) (*Forwarder, error) {
	outside, err := batch.Listen(cfg.Outside)
	if err != nil {
		return nil, err
	}
	inside, err := batch.Listen(cfg.Inside)
	if err != nil {
		outside.Close()
		return nil, err
	}
	return &Forwarder{cfg: cfg, outside: outside, inside: inside}, nil
}

// Outside is the address callers send to.
func (f *Forwarder) Outside() netip.AddrPort { return f.outside.LocalAddr() }

// Inside is the address the platform sees.
func (f *Forwarder) Inside() netip.AddrPort { return f.inside.LocalAddr() }

// Run forwards until ctx ends or a socket fails, then closes both sockets. It returns nil when ctx ended.
func (f *Forwarder) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, f.close)
	defer stop()
	done := make(chan error, 2)
	go func() { done <- f.inward() }()
	go func() { done <- f.outward() }()
	err := <-done
	f.close()
	<-done
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("forward: %w", err)
}

func (f *Forwarder) close() {
	f.outside.Close()
	f.inside.Close()
}

// inward moves datagrams of callers to the platform.
func (f *Forwarder) inward() error {
	for {
		n, err := f.outside.Receive()
		if err != nil {
			return err
		}
		if n == 0 || f.cfg.Drop {
			continue
		}
		f.caller.Store(pack(f.outside.Packet(n - 1).From))
		f.inside.QueueReceived(f.outside, f.cfg.Upstream)
		if err := f.inside.Flush(); err != nil {
			return err
		}
	}
}

// outward moves datagrams of the platform to the last caller.
func (f *Forwarder) outward() error {
	for {
		n, err := f.inside.Receive()
		if err != nil {
			return err
		}
		caller := f.caller.Load()
		if n == 0 || caller == 0 {
			continue
		}
		f.outside.QueueReceived(f.inside, unpack(caller))
		if err := f.outside.Flush(); err != nil {
			return err
		}
	}
}

// pack puts an IPv4 address and port into one word, so that the two halves share it without a lock.
func pack(a netip.AddrPort) uint64 {
	b := a.Addr().As4()
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(a.Port())
}

func unpack(v uint64) netip.AddrPort {
	addr := netip.AddrFrom4([4]byte{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16)})
	return netip.AddrPortFrom(addr, uint16(v))
}
