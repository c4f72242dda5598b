package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/media"
)

// TestDoctorOfMedia: every kind of refusal is told with advice, a phone that can't be heard unlike a sprayer, and a thousand calls in few lines.
func TestDoctorOfMedia(t *testing.T) {
	call := func(packets uint64, refused map[string]uint64) callState {
		return callState{ID: 7, Caller: "alice", Callee: "bob", Streams: []streamState{{Kind: "audio", From: "caller", Named: "192.0.2.9:4000", Locked: "192.0.2.9:4000",
			Packets: packets, Refused: refused}}}
	}
	deaf, sprayed := map[string]uint64{"source": 312}, map[string]uint64{"source": 1}
	for _, one := range []struct {
		call callState
		want string
	}{
		{call(0, deaf), "call 7, alice to bob: 312 packets for the audio of the caller came from another address than the 192.0.2.9:4000 that it named"},
		{call(50, sprayed), "1 packet for the audio of the caller came from somebody else than 192.0.2.9:4000, and went nowhere"},
		{call(50, nil), ""},
	} {
		found := ofMedia([]callState{one.call})
		if len(found) > 1 || (len(found) == 1) != (one.want != "") || len(found) == 1 && !strings.Contains(found[0].Text, one.want) {
			t.Errorf("%+v: %q, want %q", one.call.Streams, found, one.want)
		}
	}
	said := map[string]bool{}
	for why := range media.Refusal(media.Refusals) {
		said[(&streamState{}).refusal(why.String())] = true
	}
	if len(said) < media.Refusals-1 { // those of ICE are one
		t.Errorf("%d refusals have %d pieces of advice", media.Refusals, len(said))
	}
	var many []callState
	for range 1000 {
		many = append(many, call(0, deaf))
	}
	if found := ofMedia(many); len(found) != mostOfMedia+1 || !strings.HasPrefix(found[mostOfMedia].Text, "980 things more") {
		t.Errorf("%d lines of 1,000 calls, the last %q", len(found), found[len(found)-1])
	}
}

// TestDoctorOfFile: mistakes and warnings of the file as it is now; what never was a file has none.
func TestDoctorOfFile(t *testing.T) {
	for text, want := range map[string]string{"outside: {listn: []}": "config.broken", "topology: {mask_call_id: false}": "config.warning", "version: 1": ""} {
		file := filepath.Join(t.TempDir(), "ringwall.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if found := ofFile(file); len(found) > 1 || (len(found) == 1) != (want != "") || len(found) == 1 && found[0].ID != want {
			t.Errorf("%q: %q, want %s", text, found, want)
		}
	}
	if found := ofFile(""); found != nil {
		t.Errorf("of no file: %q", found)
	}
}
