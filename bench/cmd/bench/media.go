package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/ringwall/ringwall/bench/rounds"
	"github.com/ringwall/ringwall/bench/voice"
	"github.com/ringwall/ringwall/media"
)

// coalesce is how long the coalescing relay waits for more packets: as docs/config.md advises.
const coalesce = 3 * time.Millisecond

// measureMedia measures media relays in turns.
func measureMedia(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("bench media", flag.ContinueOnError)
	f.SetOutput(stderr)
	cfg := rounds.Config{Log: stderr, Voice: &rounds.VoiceConfig{}}
	f.IntVar(&cfg.Rounds, "rounds", 3, "how often each system is measured")
	f.IntVar(&cfg.Voice.Streams, "streams", 500, "calls at once, each 50 packets a second both ways")
	span := f.Duration("time", 5*time.Second, "how long each is measured")
	f.StringVar(&cfg.Perf, "perf", "", "record each measured run with perf into `FILE`.system.round")
	systems := f.String("systems", "ringwall,ringwall-coalescing,rtpengine", "what to measure, the first is the measure of the others")
	if err := f.Parse(args); err != nil {
		return err
	}
	cfg.Count = packetsIn(*span, cfg.Voice.Streams)
	cfg.Warm = packetsIn(time.Second, cfg.Voice.Streams)
	var err error
	if cfg.Voice.Systems, err = mediaSystems(*systems); err != nil {
		return err
	}
	if cfg.CPUs, err = placeProcessors(1, stderr); err != nil {
		return err
	}
	return report(ctx, cfg, "", stdout)
}

// packetsIn is how many packets streams bring in a time.
func packetsIn(d time.Duration, streams int) int { return int(100 * d.Seconds() * float64(streams)) }

func mediaSystems(list string) ([]rounds.MediaSystem, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	own := rounds.Relay{Command: []string{self, "relay"}}
	var out []rounds.MediaSystem
	for name := range strings.SplitSeq(list, ",") {
		switch name {
		case "ringwall":
			out = append(out, own)
		case "ringwall-coalescing":
			out = append(out, rounds.Relay{Command: own.Command, Coalesce: coalesce})
		case "rtpengine":
			out = append(out, rounds.Rtpengine{})
		default:
			return nil, fmt.Errorf("unknown media system %q: want ringwall, ringwall-coalescing or rtpengine", name)
		}
	}
	return out, nil
}

// relay is the media relay's process: for each line of in that names two far ends it opens a stream between them and writes the two ports.
func relay(ctx context.Context, args []string, in io.Reader, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("bench relay", flag.ContinueOnError)
	f.SetOutput(stderr)
	var outside, inside netip.Addr
	f.TextVar(&outside, "outside", netip.Addr{}, "`address` towards callers")
	f.TextVar(&inside, "inside", netip.Addr{}, "`address` towards the platform")
	first, last := f.Uint("first", 20000, "first port"), f.Uint("last", 31999, "last port")
	cfg := media.RelayConfig{Streams: 100_000}
	f.DurationVar(&cfg.Coalesce, "coalesce", 0, "how long to wait for more packets")
	if err := f.Parse(args); err != nil {
		return err
	}
	cfg.Outside, cfg.Inside = []netip.Addr{outside}, []netip.Addr{inside}
	cfg.First, cfg.Last = uint16(*first), uint16(*last)
	r, err := media.NewRelay(cfg)
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Fprintln(stderr, "ready")
	return voice.Serve(ctx, r, in, stdout)
}
