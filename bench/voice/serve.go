package voice

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media"
)

// Serve has r, ringwall's media relay in a process of its own, open a stream for each line of in, which names its two far ends, and writes the ports that
// they are to send to. The streams stay open until ctx ends.
func Serve(ctx context.Context, r *media.Relay, in io.Reader, out io.Writer) error {
	failed := make(chan error, 1)
	go func() {
		for lines := bufio.NewScanner(in); lines.Scan(); {
			if err := serve(r, lines.Text(), out); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// serve opens the stream that line names.
func serve(r *media.Relay, line string, out io.Writer) error {
	from, to, _ := strings.Cut(line, " ")
	a, err := netip.ParseAddrPort(from)
	if err != nil {
		return fmt.Errorf("read the far ends of a stream: %w", err)
	}
	b, err := netip.ParseAddrPort(to)
	if err != nil {
		return fmt.Errorf("read the far ends of a stream: %w", err)
	}
	s, err := r.Open(media.Spec{Ends: [media.Ends]media.Place{{Side: edge.Outside}, {Side: edge.Inside}}})
	if err != nil {
		return err
	}
	s.Expect(media.Caller, media.Remote{RTP: a, Signalling: a.Addr(), Proven: true})
	s.Expect(media.Callee, media.Remote{RTP: b, Trusted: true})
	_, err = fmt.Fprintln(out, s.Port(media.Caller), s.Port(media.Callee))
	return err
}
