package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// texts are prefixes as text.
func texts(list []netip.Prefix) (all []string) {
	for _, p := range list {
		all = append(all, p.String())
	}
	return all
}

func TestGateways(t *testing.T) {
	native := func(a, b, c, d byte) string {
		return fmt.Sprintf("%08X", binary.NativeEndian.Uint32([]byte{a, b, c, d}))
	}
	four := "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t" + native(203, 0, 113, 1) + "\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t" + native(203, 0, 113, 0) + "\t00000000\t0001\t0\t0\t0\t" + native(255, 255, 255, 0) + "\t0\t0\t0\n" +
		"tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\nrubbish\n"
	six := "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n" +
		"20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n"
	if got := texts(gateways([]byte(four), []byte(six))); !slices.Equal(got, []string{"203.0.113.1/32", "fe80::1/128"}) {
		t.Errorf("gateways %v", got)
	}
	if got := gateways(nil, nil); got != nil {
		t.Errorf("gateways of nothing: %v", got)
	}
}

func TestNameservers(t *testing.T) {
	conf := "# nameserver 192.0.2.1\nsearch example.com\nnameserver 192.0.2.53\nnameserver fe80::53%eth0\nnameserver\nnameserver x\n  nameserver ::ffff:192.0.2.54\nnameserver 192.0.2.55:5353\nnameserver [2001:db8::53]:53\n"
	if got := texts(nameservers([]byte(conf))); !slices.Equal(got, []string{"192.0.2.53/32", "fe80::53/128", "192.0.2.54/32", "192.0.2.55/32", "2001:db8::53/128"}) {
		t.Errorf("nameservers %v", got)
	}
}

// TestSignedIn: only sessions of users count, not who has begun to sign in or has left.
func TestSignedIn(t *testing.T) {
	record := func(kind uint16, a string) []byte {
		b := make([]byte, utmpSize)
		binary.NativeEndian.PutUint16(b, kind)
		if a != "" {
			copy(b[utmpAddr:], netip.MustParseAddr(a).AsSlice())
		}
		return b
	}
	utmp := slices.Concat(record(2, ""), record(userProcess, "198.51.100.7"), record(userProcess, ""), record(6, "198.51.100.8"),
		record(8, "198.51.100.9"), record(userProcess, "2001:db8::7"), []byte("cut short"))
	if got := texts(signedIn(utmp)); !slices.Equal(got, []string{"198.51.100.7/32", "2001:db8::7/128"}) {
		t.Errorf("signed in from %v", got)
	}
}

// TestOperators: who used a verb is protected for a day, and not more of them than there are operators.
func TestOperators(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "::ffff:198.51.100.7 50000 203.0.113.5 22")
	var o operators
	at := time.Unix(1_800_000_000, 0)
	if !o.note(netip.MustParseAddr("198.51.100.9"), at) || o.note(netip.MustParseAddr("::ffff:198.51.100.9"), at) {
		t.Error("one operator is two")
	}
	if got := texts(o.list(at)); !slices.Equal(got, []string{"198.51.100.7/32", "198.51.100.9/32"}) {
		t.Errorf("operators %v", got)
	}
	if got := texts(o.list(at.Add(operatorTime + 1))); !slices.Equal(got, []string{"198.51.100.7/32"}) {
		t.Errorf("a day later %v", got)
	}
	for i := range 1000 {
		o.note(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), at)
	}
	if n := len(o.list(at)); n > mostOperators+1 {
		t.Errorf("%d operators", n)
	}
	t.Setenv("SSH_CONNECTION", "nonsense")
	if sshPeer().IsValid() {
		t.Error("nonsense is an address")
	}
}

// TestSessionOf: behind sudo, which hides it, the shell of the session still says where its user is.
func TestSessionOf(t *testing.T) {
	proc := map[string]string{
		"/proc/900/environ": "PATH=/bin\x00", "/proc/900/stat": "900 (sudo (x) y) S 800 900 1",
		"/proc/800/environ": "HOME=/root\x00SSH_CONNECTION=2001:db8::7 50000 203.0.113.5 22\x00", "/proc/800/stat": "800 (bash) S 1 1 1",
		"/proc/700/stat": "700 (cron) S 1 1 1", "/proc/600/stat": "600 (loop) S 600 1 1",
	}
	read := func(name string) []byte { return []byte(proc[name]) }
	for pid, want := range map[int]string{900: "2001:db8::7", 800: "2001:db8::7", 700: "invalid IP", 600: "invalid IP", 500: "invalid IP", 1: "invalid IP"} {
		if got := sessionOf(pid, read).String(); got != want {
			t.Errorf("of %d: %s, want %s", pid, got, want)
		}
	}
}
