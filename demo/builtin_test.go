package demo

import (
	"context"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// dialPhone opens a built-in phone of user that speaks to the platform itself.
func dialPhone(t *testing.T, p *Platform, user string, over edge.Transport) *Phone {
	t.Helper()
	account := Account{User: user, Password: "wrong"}
	if a := p.account(user); a != nil {
		account = *a
	}
	ph, err := DialPhone(t.Context(), PhoneConfig{Account: account, Transport: over, Server: p.Addr(), Domain: "ringwall.demo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ph.Close)
	return ph
}

// TestBuiltInPhones register and call each other and the echo over both transports.
func TestBuiltInPhones(t *testing.T) {
	p := startPlatform(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	alice, bob, carol := dialPhone(t, p, "alice", edge.UDP), dialPhone(t, p, "bob", edge.TCP), dialPhone(t, p, "carol", edge.TCP)
	all := []*Phone{alice, bob, carol}
	for _, ph := range all {
		if err := ph.Register(ctx, true); err != nil {
			t.Fatalf("%s: %v", ph.User(), err)
		}
	}
	for i, ph := range all {
		for _, target := range []string{"600", all[(i+1)%3].User()} {
			c, err := ph.Call(ctx, target)
			if err != nil {
				t.Fatalf("%s to %s: %v", ph.User(), target, err)
			}
			if n, err := c.Echo(ctx, 20); n != 20 || err != nil {
				t.Errorf("%s to %s: %d of 20 packets came back: %v", ph.User(), target, n, err)
			}
			if err := c.Hangup(ctx); err != nil {
				t.Errorf("%s to %s: %v", ph.User(), target, err)
			}
		}
	}
	for _, ph := range all {
		if ph.Answered() != 1 {
			t.Errorf("%s has answered %d calls from INVITE to BYE, want 1", ph.User(), ph.Answered())
		}
	}
	if err := bob.Register(ctx, false); err != nil {
		t.Error(err)
	}
	if _, err := alice.Call(ctx, "bob"); err == nil || !strings.Contains(err.Error(), "INVITE was answered with 480") {
		t.Errorf("call to who is not registered: %v", err)
	}
}

// TestBuiltInPhoneTellsWhatFails: each failure is one sentence.
func TestBuiltInPhoneTellsWhatFails(t *testing.T) {
	p := startPlatform(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	mallory := dialPhone(t, p, "mallory", edge.TCP)
	if err := mallory.Register(ctx, true); err == nil || !strings.HasPrefix(err.Error(), "REGISTER was answered with 401") {
		t.Errorf("wrong password: %v", err)
	}
	alice := dialPhone(t, p, "alice", edge.UDP)
	if _, err := alice.Call(ctx, "602"); err == nil || err.Error() != "INVITE was answered with 486 Busy Here" {
		t.Errorf("busy: %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if err := alice.Register(ended, true); err == nil || err.Error() != "REGISTER: no final response in time" {
		t.Errorf("no time: %v", err)
	}
	if _, err := DialPhone(ctx, PhoneConfig{Transport: edge.WS, Server: p.Addr()}); err == nil {
		t.Error("a transport that the phone has not")
	}
}
