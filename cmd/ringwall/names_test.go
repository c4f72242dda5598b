package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// TestNamesAreFollowed: a name that can't be looked up changes nothing but what status says; another order of its addresses
// changes nothing at all; when its address is gone, the new one is put in force.
func TestNamesAreFollowed(t *testing.T) {
	s, err := start(t.Context(), quiet(configOf(t, "upstreams: [{uri: \"sip:localhost:5080\"}]")), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := s.settings.Load()
	says := func(list ...string) func(context.Context, string) ([]netip.Addr, error) {
		return func(context.Context, string) (all []netip.Addr, err error) {
			for _, a := range list {
				all = append(all, netip.MustParseAddr(a))
			}
			if len(all) == 0 {
				err = errors.New("the name localhost has no address")
			}
			return all, err
		}
	}
	concern := func() string {
		for _, c := range s.facts(s.proxy.Status(), s.settings.Load()).concerns() {
			if c.ID == string(reasonName) {
				return c.Text
			}
		}
		return ""
	}
	s.lookAgain(t.Context(), says())
	if !strings.Contains(concern(), "has no address") || s.settings.Load() != before {
		t.Errorf("after a failed look-up: %q", concern())
	}
	s.lookAgain(t.Context(), says("192.0.2.1", "127.0.0.1"))
	if concern() != "" || s.settings.Load() != before {
		t.Errorf("after another order: %q", concern())
	}
	s.lookAgain(t.Context(), says("192.0.2.1"))
	if now := s.settings.Load(); now == before || now.upstreams[0].Addr.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("after a move: %v", now.upstreams)
	}
}
