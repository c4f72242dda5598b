package rounds

import (
	"context"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/siptest"
)

var variants = []string{"a", "b", "c"}

func TestKamailioTakesItsConfig(t *testing.T) {
	binary := siptest.NeedTool(t, "kamailio")
	file := filepath.Join(t.TempDir(), "edge.cfg")
	if err := os.WriteFile(file, kamailioConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			at := netip.MustParseAddrPort("127.0.10.1:5060")
			args, err := Kamailio{Variant: variant, Linger: time.Second}.args(file, at, at)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(binary, append(args, "-c")...).CombinedOutput(); err != nil || strings.Contains(string(out), "ERROR") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestCallsAndRegistrationsThroughKamailio checks every message of every variant, and that its children are accounted.
func TestCallsAndRegistrationsThroughKamailio(t *testing.T) {
	siptest.NeedTool(t, "kamailio")
	var systems []System
	for _, variant := range variants {
		systems = append(systems, Kamailio{Variant: variant, Linger: 100 * time.Millisecond})
	}
	for _, mode := range []load.Mode{load.Call, load.Register} {
		t.Run(string(mode), func(t *testing.T) {
			results, err := Run(context.Background(), Config{Systems: systems, Rounds: 1, Warm: 50, Count: 500, Log: io.Discard, Load: load.Config{Mode: mode}})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Invalid != "" || r.Load.Completed != 500 {
					t.Errorf("%s: completed %d, invalid %q\n%s", r.System, r.Load.Completed, r.Invalid, strings.Join(r.Load.Examples, "\n"))
				}
				if r.PerMessage < 1 {
					t.Errorf("%s: %g us per message: its workers were not accounted", r.System, r.PerMessage)
				}
			}
		})
	}
}

func TestKamailioIsStartedWithFastAllocators(t *testing.T) {
	line := Kamailio{Variant: "c", Linger: time.Second}.CommandLine()
	for _, want := range []string{"-x fm -X fm", "WITH_STATE", "WITH_DEFENCES", "LINGER=1000", "udp:OUTSIDE", `'UPSTREAM="sip:PLATFORM"'`} {
		if !strings.Contains(line, want) {
			t.Errorf("command line %q lacks %q", line, want)
		}
	}
	if _, err := (Kamailio{Variant: "d"}).Start(context.Background(), loopback, netip.MustParseAddrPort("127.0.0.1:1"), nil); err == nil || !strings.Contains(err.Error(), `variant "d"`) {
		t.Errorf("variant d: %v", err)
	}
	if _, err := (Kamailio{Variant: "a", Binary: "/nonexistent"}).Version(context.Background()); err == nil {
		t.Error("a binary that does not exist has a version")
	}
}
