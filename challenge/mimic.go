package challenge

import (
	"strconv"
	"time"

	"github.com/ringwall/ringwall/meter"
)

const (
	kept      = 4   // samples
	maxSample = 160 // bytes of one
	minSample = 32  // letters of a nonce that looks like none of the platform's, since none was seen
)

// samples are the last nonces, or opaques, of a platform. What they have in common is what another one of their kind looks like.
type samples struct {
	text  [kept][maxSample]byte
	size  int // of each
	n     int
	next  int
	clock clock
	kinds kinds // of all
}

// kinds is a set of kinds of characters.
type kinds uint8

const (
	digits kinds = 1 << iota
	lowerHex
	upperHex
	lower
	upper
	plus      // + and /
	underline // - and _
)

// A clock is a time that stands in each sample.
type clock struct {
	at, size int   // size 0: there is none
	ahead    int64 // seconds
	hex      bool
}

func (s *samples) forget() { s.n, s.next, s.size, s.kinds, s.clock = 0, 0, 0, 0, clock{} }

// add takes note of one that the platform made at that time.
func (s *samples) add(one []byte, at time.Time) {
	if len(one) > maxSample {
		return
	}
	if len(one) != s.size {
		s.forget()
		s.size = len(one)
	}
	copy(s.text[s.next][:], one)
	s.next = (s.next + 1) % kept
	s.n = min(s.n+1, kept)
	for _, c := range one {
		s.kinds |= kindOf(c)
	}
	s.clock = findClock(one, at)
}

func kindOf(c byte) kinds {
	switch {
	case c >= '0' && c <= '9':
		return digits
	case c >= 'a' && c <= 'f':
		return lowerHex
	case c >= 'A' && c <= 'F':
		return upperHex
	case c >= 'a' && c <= 'z':
		return lower
	case c >= 'A' && c <= 'Z':
		return upper
	case c == '+' || c == '/':
		return plus
	case c == '-' || c == '_':
		return underline
	}
	return 0
}

// The characters that samples of each make are drawn from.
const (
	decimal = "0123456789"
	small   = "abcdefghijklmnopqrstuvwxyz"
	capital = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// alphabet is what characters of these kinds are drawn from.
func (k kinds) alphabet() string {
	switch {
	case k&^digits == 0:
		return decimal
	case k&^(digits|lowerHex) == 0:
		return decimal + "abcdef"
	case k&^(digits|upperHex) == 0:
		return decimal + "ABCDEF"
	case k&^(digits|lowerHex|lower) == 0:
		return decimal + small
	case k&^(digits|upperHex|upper) == 0:
		return decimal + capital
	case k&plus != 0:
		return decimal + small + capital + "+/"
	case k&underline != 0:
		return decimal + small + capital + "-_"
	}
	return decimal + small + capital
}

// append appends one like the samples. It is drawn by key and seed: who does not know the key can't tell what it will be.
func (s *samples) append(dst []byte, key meter.Key, seed uint64, at time.Time) []byte {
	if s.n == 0 {
		return appendDrawn(dst, key, seed, decimal+"abcdef", minSample)
	}
	begin := len(dst)
	alphabet := s.drawn().alphabet()
	dst = appendDrawn(dst, key, seed, alphabet, s.size)
	for i := range s.size {
		if c := s.text[0][i]; s.same(i) {
			dst[begin+i] = c
		}
	}
	if c := s.clock; c.size > 0 {
		base := 10
		if c.hex {
			base = 16
		}
		var text [16]byte
		if now := strconv.AppendInt(text[:0], at.Unix()+c.ahead, base); len(now) == c.size {
			copy(dst[begin+c.at:], now)
		}
	}
	return dst
}

// same reports whether the character at i stays as it is: it is the same in all samples, or, in the only one there is, no letter or digit.
func (s *samples) same(i int) bool {
	c := s.text[0][i]
	if s.n == 1 {
		return kindOf(c)&^(plus|underline) == 0
	}
	for k := range s.text[:s.n] {
		if s.text[k][i] != c {
			return false
		}
	}
	return true
}

// drawn is the kinds of what changes from sample to sample.
func (s *samples) drawn() (k kinds) {
	for i := range s.size {
		if s.same(i) {
			continue
		}
		for n := range s.text[:s.n] {
			k |= kindOf(s.text[n][i])
		}
	}
	return k
}

// appendDrawn appends n characters of alphabet.
func appendDrawn(dst []byte, key meter.Key, seed uint64, alphabet string, n int) []byte {
	word := uint64(0)
	for i := range n {
		if i%4 == 0 {
			word = key.Words(seed, uint64(i))
		}
		dst = append(dst, alphabet[word&0xffff%uint64(len(alphabet))])
		word >>= 16
	}
	return dst
}

// nearby is how far from now a number may be that is taken for a time.
const nearby = 24 * time.Hour

// findClock looks for the time in a nonce that was made at that time: ten digits that stand alone, or eight hexadecimal ones at its beginning.
func findClock(one []byte, at time.Time) clock {
	for i := 0; i < len(one); {
		end := i
		for end < len(one) && one[end] >= '0' && one[end] <= '9' {
			end++
		}
		if end-i == 10 {
			if t, err := strconv.ParseInt(string(one[i:end]), 10, 64); err == nil && near(t, at) {
				return clock{at: i, size: 10, ahead: t - at.Unix()}
			}
		}
		i = end + 1
	}
	if len(one) < 16 {
		return clock{}
	}
	t, err := strconv.ParseInt(string(one[:8]), 16, 64)
	for _, c := range one[:8] {
		if c >= 'A' && c <= 'F' {
			return clock{}
		}
	}
	if err != nil || !near(t, at) {
		return clock{}
	}
	return clock{size: 8, ahead: t - at.Unix(), hex: true}
}

func near(t int64, at time.Time) bool {
	ahead := time.Duration(t-at.Unix()) * time.Second
	return t > 0 && ahead > -nearby && ahead < nearby
}
