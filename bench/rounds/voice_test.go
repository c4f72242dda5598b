package rounds

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/bench/voice"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/siptest"
)

// playRelay is what "bench relay" is.
func playRelay() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var outside, inside netip.Addr
	f := flag.NewFlagSet("relay", flag.ContinueOnError)
	f.TextVar(&outside, "outside", netip.Addr{}, "")
	f.TextVar(&inside, "inside", netip.Addr{}, "")
	first, last, nap := f.Uint("first", 0, ""), f.Uint("last", 0, ""), f.Duration("coalesce", 0, "")
	if err := f.Parse(os.Args[1:]); err != nil {
		return err
	}
	r, err := media.NewRelay(media.RelayConfig{Outside: []netip.Addr{outside}, Inside: []netip.Addr{inside}, First: uint16(*first), Last: uint16(*last), Coalesce: *nap})
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Fprintln(os.Stderr, "ready")
	return voice.Serve(ctx, r, os.Stdin, os.Stdout)
}

// measureVoice measures systems once each with few calls; not a packet may be lost.
func measureVoice(t *testing.T, systems ...MediaSystem) {
	t.Helper()
	results, err := Run(context.Background(), Config{Rounds: 1, Warm: 200, Count: 2000, Log: io.Discard, Voice: &VoiceConfig{Systems: systems, Streams: 20}})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(systems) {
		t.Fatalf("%d results", len(results))
	}
	for _, r := range results {
		if r.Invalid != "" || r.Load.Completed != 2000 || r.CPUMicros <= 0 || r.PerMessage != r.PerCall {
			t.Errorf("%s: %+v", r.System, r)
		}
	}
}

func TestVoiceThroughRelay(t *testing.T) {
	t.Setenv(roleVariable, "relay")
	self := []string{os.Args[0]}
	measureVoice(t, Relay{Command: self}, Relay{Command: self, Coalesce: time.Millisecond})
}

func TestVoiceThroughRtpengine(t *testing.T) {
	siptest.NeedTool(t, "rtpengine")
	measureVoice(t, Rtpengine{})
	if v, err := (Rtpengine{}).Version(context.Background()); err != nil || !strings.HasPrefix(v, "rtpengine ") {
		t.Errorf("version %q, %v", v, err)
	}
	if !strings.HasPrefix(Rtpengine{}.CommandLine(), "rtpengine --foreground") {
		t.Error(Rtpengine{}.CommandLine())
	}
}
