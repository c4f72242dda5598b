package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/ringwall/ringwall/edge"
)

// A ListenError says in one sentence why an address could not be bound and what to do. It wraps the system's error.
type ListenError struct {
	Side      edge.Side
	Transport edge.Transport
	Addr      netip.AddrPort
	Holder    string // "process 812 (kamailio)" when the port is in use and its holder was found, else ""
	Err       error
}

// Unwrap returns the system's error.
func (e *ListenError) Unwrap() error { return e.Err }

// Error returns the sentence.
func (e *ListenError) Error() string {
	key := sideName(e.Side) + ".listen"
	return fmt.Sprintf("cannot listen on %v %v: %s", e.Transport, e.Addr, e.reason(key))
}

func (e *ListenError) reason(key string) string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE) && e.Holder != "":
		return fmt.Sprintf("the port is in use by %s; stop it, or change %s", e.Holder, key)
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("the port is in use by another process; stop it, or change %s", key)
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("this machine has no address %v; correct %s (and use advertise for a public address behind NAT)", e.Addr.Addr(), key)
	case errors.Is(e.Err, syscall.EACCES) && e.Addr.Port() < 1024:
		return fmt.Sprintf("ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it, or change %s", key)
	case errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		return fmt.Sprintf("the system does not permit it; check the service's sandbox, or change %s", key)
	case errors.Is(e.Err, syscall.EAFNOSUPPORT):
		return fmt.Sprintf("this machine has no support for that address family; change %s", key)
	}
	return e.Err.Error()
}

func sideName(s edge.Side) string {
	if s == edge.Inside {
		return "inside"
	}
	return "outside"
}

func newListenError(l Listen, err error) *ListenError {
	e := &ListenError{Side: l.Side, Transport: l.Transport, Addr: l.Addr, Err: err}
	if errors.Is(err, syscall.EADDRINUSE) {
		e.Holder = findHolder("/proc", l.Transport, l.Addr)
	}
	return e
}
