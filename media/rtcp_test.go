package media

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strings"
	"testing"
)

// mark stands for a name of the inside.
const mark = "pbx@10.1.2.3"

// rtcpPacket is a packet of a type with the count or padding bits of its first byte, filled up to a whole word.
func rtcpPacket(bits, kind byte, body ...string) []byte {
	b := append([]byte{0x80 | bits, kind, 0, 0}, strings.Join(body, "")...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

// item is an SDES item.
func item(kind byte, text string) string { return string([]byte{kind, byte(len(text))}) + text }

const (
	source       = "\x01\x02\x03\x04"
	senderReport = source + "12345678timepackbyte"
)

// TestAnonymize: audit row F20. No word of who sends RTCP from inside is left in it, and all the rest is.
func TestAnonymize(t *testing.T) {
	key := maphash.MakeSeed()
	report := rtcpPacket(0, 200, senderReport)
	cname := rtcpPacket(1, 202, source, item(1, mark))
	for name, c := range map[string]struct {
		packet []byte
		kept   int // bytes at the start that stay
	}{
		"CNAME":                    {cname, 10},
		"compound":                 {append(bytes.Clone(report), cname...), len(report) + 10},
		"compound of two":          {append(bytes.Clone(cname), cname...), 10},
		"no room after the text":   {rtcpPacket(1, 202, source, item(1, mark+"12"))[:24], 10},
		"all items":                {rtcpPacket(1, 202, source, item(1, mark), item(2, mark), item(6, mark), item(200, mark)), 10},
		"private":                  {rtcpPacket(1, 202, source, item(8, "\x04name"+mark)), 10},
		"a text of nothing first":  {rtcpPacket(1, 202, source, item(3, ""), item(1, mark)), 12},
		"two sources":              {rtcpPacket(2, 202, source, item(1, mark), "\x00\x00", source, item(1, mark)), 10},
		"more than its sources":    {rtcpPacket(1, 202, source, item(1, "a"), "\x00", source, item(1, mark)), 10},
		"no source, but words":     {rtcpPacket(0, 202, source, item(1, mark)), 4},
		"an item that is too long": {rtcpPacket(1, 202, source, "\x01\xff"+mark), 8},
		"half an item":             {rtcpPacket(1, 202, source, item(1, mark+"7"), "\x02"), 10},
		"padding":                  {rtcpPacket(0x21, 202, source, item(1, "abcdef"), mark, "\x00\x00\x00\x0c"), 10},
		"BYE":                      {rtcpPacket(1, 203, source, "\x0c", mark), 9},
		"BYE that is too long":     {rtcpPacket(1, 203, source, "\xff", mark), 8},
		"BYE with more":            {rtcpPacket(1, 203, source, "\x02no\x00", mark), 9},
		"SDES after BYE":           {append(rtcpPacket(1, 203, source), cname...), 18},
	} {
		b := bytes.Clone(c.packet)
		anonymize(b, key)
		if bytes.Contains(b, []byte(mark)) {
			t.Errorf("%s: %q names the inside", name, b)
		}
		if len(b) != len(c.packet) || !bytes.Equal(b[:c.kept], c.packet[:c.kept]) || !isCompound(b) {
			t.Errorf("%s: %q became %q", name, c.packet, b)
		}
		again := bytes.Clone(b)
		if anonymize(again, key); bytes.Equal(again, c.packet) {
			t.Errorf("%s: twice is as before", name)
		}
	}
}

// TestAnonymizeNot: what has no words, or none that can be read, stays as it is.
func TestAnonymizeNot(t *testing.T) {
	key := maphash.MakeSeed()
	cname := rtcpPacket(1, 202, source, item(1, mark))
	for name, packet := range map[string][]byte{
		"SRTCP":              append(bytes.Clone(cname), "\x80\x00\x00\x01authentica"...),
		"SRTCP, a short tag": append(bytes.Clone(cname), "\x80\x00\x00\x01auth"...),
		"cut":                cname[:len(cname)-1],
		"another version":    append([]byte{cname[0] &^ 0x80}, cname[1:]...),
		"reports":            append(rtcpPacket(0, 200, senderReport), rtcpPacket(0, 201, source)...),
		"no source":          rtcpPacket(0, 202),
		"BYE, no reason":     rtcpPacket(2, 203, source, source),
		"BYE of nobody":      rtcpPacket(0, 203),
		"feedback":           rtcpPacket(1, 206, source, source),
	} {
		b := bytes.Clone(packet)
		if anonymize(b, key); !bytes.Equal(b, packet) {
			t.Errorf("%s: %q became %q", name, packet, b)
		}
	}
}

// TestDisguise: the same words become the same in every stream, others others, and another relay makes others of them.
func TestDisguise(t *testing.T) {
	key := maphash.MakeSeed()
	of := func(text string, key maphash.Seed) string {
		b := []byte(text)
		disguise(b, key)
		return string(b)
	}
	long := strings.Repeat("a", 255)
	first := of(mark, key)
	if of(mark, key) != first || of(mark, maphash.MakeSeed()) == first || of("pbx@10.1.2.4", key) == first {
		t.Error("a CNAME is not one name")
	}
	seen := map[string]bool{}
	for got := of(long, key); len(got) > 5; got = got[5:] {
		if seen[got[:5]] {
			t.Fatalf("%q comes twice in %q", got[:5], of(long, key))
		}
		seen[got[:5]] = true
	}
}

// FuzzAnonymize: whatever comes, its length and the lengths in it stay, and a mark in SDES or BYE does not.
func FuzzAnonymize(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04"+item(1, "a")), byte(1), byte(202))
	f.Add([]byte("\x01\x02\x03\x04\xff"), byte(1), byte(203))
	f.Add([]byte(""), byte(0x3f), byte(202))
	f.Fuzz(func(t *testing.T, before []byte, bits, kind byte) {
		if len(before) > 60_000 {
			return
		}
		key, bye := maphash.MakeSeed(), kind&1
		p := rtcpPacket(bits&0x3f, typeSDES+bye, string(before), mark)
		if bye == 1 && bytes.Contains(p[:min(len(p), 4+4*int(bits&0x1f))], []byte(mark)) {
			return // among the sources of BYE, which are numbers
		}
		was := bytes.Clone(p)
		anonymize(p, key)
		if len(p) != len(was) || !bytes.Equal(p[:4], was[:4]) || !isCompound(p) {
			t.Fatalf("%q became %q", was, p)
		}
		if bytes.Contains(p, []byte(mark)) {
			t.Fatalf("%q names the inside: %q", was, p)
		}
	})
}
