package e2e

import (
	"encoding/json"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestDoctor: what doctor says of an edge that is well, of packets of somebody else for the media of a call, and of a service that is not there.
func TestDoctor(t *testing.T) {
	r := newRig(t, udp, concealed(relaying))
	c := r.chat(r.phone("alice"))
	doctor := func(state string, wantExit int) (out string, ids []string) {
		t.Helper()
		cmd := exec.Command(siptest.Binary(t), "doctor", "-o", "json", "--state", state)
		said, _ := cmd.Output() // its exit code is looked at
		if got := cmd.ProcessState.ExitCode(); got != wantExit {
			t.Errorf("exit code %d, want %d: %s", got, wantExit, said)
		}
		var found []struct{ ID, Text string }
		if err := json.Unmarshal(said, &found); err != nil && wantExit != 69 {
			t.Fatalf("%v: %s", err, said)
		}
		for _, f := range found {
			ids = append(ids, f.ID)
		}
		return string(said), ids
	}
	if out, ids := doctor(r.edge.State, 0); len(ids) > 0 {
		t.Errorf("of an edge that is well: %s", out)
	}
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 77)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	rtp := append([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9}, make([]byte, 160)...)
	for range 3 {
		if _, err := stranger.WriteToUDPAddrPort(rtp, c.towardFar); err != nil {
			t.Fatal(err)
		}
	}
	var out string
	var ids []string
	if !siptest.Eventually(func() bool {
		all := relayedCalls(t, r.edge)
		return len(all) == 1 && slices.ContainsFunc(all[0].Streams, func(s stream) bool { return s.Refused["source"] == 3 })
	}) {
		t.Fatalf("the packets of a stranger are not counted: %+v", relayedCalls(t, r.edge))
	}
	if out, ids = doctor(r.edge.State, 1); !slices.Equal(ids, []string{"media.refused"}) || !strings.Contains(out, "3 packets for the audio of the caller came from somebody else") {
		t.Errorf("of a stranger's packets: %s", out)
	}
	doctor(t.TempDir(), 69)
}
