package replay

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// What is no capture at all.
var (
	ErrEmpty      = errors.New("the file is empty")
	ErrNotCapture = errors.New("it is no capture: neither pcap nor pcapng, plain or compressed with gzip")
)

// A LinkError is a capture of a kind of link that is not read.
type LinkError struct{ Type int }

// Error names the kind by its number in tcpdump.org/linktypes.html.
func (e *LinkError) Error() string {
	return fmt.Sprintf("link type %d is not read (Ethernet, Linux cooked, raw IP and loopback are)", e.Type)
}

// A CutError is a capture that ends in the middle of a packet, or that can't be read on. What came before is good.
type CutError struct {
	Packets int // that could be read
	Why     error
}

// Error says how far the capture could be read.
func (e *CutError) Error() string {
	if errors.Is(e.Why, io.ErrUnexpectedEOF) {
		return fmt.Sprintf("the capture is cut in the middle, after %d packets", e.Packets)
	}
	return fmt.Sprintf("the capture can't be read beyond %d packets: %v", e.Packets, e.Why)
}

// Unwrap returns what went wrong.
func (e *CutError) Unwrap() error { return e.Why }

const (
	readAhead  = 1 << 16
	magicGzip  = 0x1f8b
	magicNg    = 0x0a0d0d0a
	magicBytes = 4
)

// The first four bytes of a pcap file, in both byte orders, with microseconds and with nanoseconds.
var magicPcap = []uint32{0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1}

// A capture reads packets one after the other.
type capture struct {
	read    func() ([]byte, gopacket.CaptureInfo, error)
	link    func(iface int) layers.LinkType
	packets int
	skipped int // of link types that are not read
	other   layers.LinkType
}

// A frame is one packet of a capture. Its bytes are good until the next one is read.
type frame struct {
	at   time.Time
	link layers.LinkType
	b    []byte
}

// openCapture reads the head of a capture.
func openCapture(r io.Reader) (*capture, error) {
	in, magic, err := unpacked(r)
	if err != nil {
		return nil, err
	}
	c := &capture{}
	switch {
	case magic == magicNg:
		ng, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return nil, headless(err)
		}
		c.read = ng.ZeroCopyReadPacketData
		c.link = func(i int) layers.LinkType {
			iface, err := ng.Interface(i)
			if err != nil {
				return layers.LinkTypeMax
			}
			return iface.LinkType
		}
	case slices.Contains(magicPcap, magic):
		old, err := pcapgo.NewReader(in)
		if err != nil {
			return nil, headless(err)
		}
		c.read, c.link = old.ZeroCopyReadPacketData, func(int) layers.LinkType { return old.LinkType() }
		if !readable(old.LinkType()) {
			return nil, &LinkError{int(old.LinkType())}
		}
	default:
		return nil, ErrNotCapture
	}
	return c, nil
}

// unpacked takes gzip off, and returns the first bytes of what is inside, which are still to be read.
func unpacked(r io.Reader) (in *bufio.Reader, magic uint32, err error) {
	in = bufio.NewReaderSize(r, readAhead)
	head, err := in.Peek(magicBytes)
	if len(head) >= 2 && binary.BigEndian.Uint16(head) == magicGzip {
		zipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, 0, headless(err)
		}
		in = bufio.NewReaderSize(zipped, readAhead)
		head, err = in.Peek(magicBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, headless(err)
		}
	}
	switch {
	case len(head) == 0 && (err == nil || errors.Is(err, io.EOF)):
		return nil, 0, ErrEmpty
	case len(head) < magicBytes && (err == nil || errors.Is(err, io.EOF)):
		return nil, 0, ErrNotCapture
	case len(head) < magicBytes:
		return nil, 0, err
	}
	return in, binary.BigEndian.Uint32(head), nil
}

// headless is the error of a capture whose head can't be read.
func headless(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &CutError{Why: io.ErrUnexpectedEOF}
	}
	return fmt.Errorf("%w: %w", ErrNotCapture, err)
}

// next reads a packet of a link that is read; io.EOF at the end, a *CutError where that is no end, a *LinkError if there was no such packet.
func (c *capture) next() (frame, error) {
	for {
		b, info, err := c.read()
		switch {
		case err == io.EOF && info.CaptureLength == 0:
			if c.skipped > 0 && c.skipped == c.packets {
				return frame{}, &LinkError{int(c.other)}
			}
			return frame{}, io.EOF
		case err == io.EOF:
			return frame{}, &CutError{c.packets, io.ErrUnexpectedEOF}
		case err != nil:
			return frame{}, &CutError{c.packets, err}
		}
		c.packets++
		if link := c.link(info.InterfaceIndex); readable(link) {
			return frame{info.Timestamp, link, b}, nil
		} else {
			c.other = link
		}
		c.skipped++
	}
}
