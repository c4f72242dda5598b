package rtpengine

import (
	"errors"
	"strconv"
)

// Limits of what is read: an answer is one datagram.
const (
	maxDepth  = 16
	maxNumber = 19 // digits
)

var errBencode = errors.New("not bencoded")

// A value is one bencoded value that check has accepted: its bytes, as they came.
type value []byte

// check returns the value that b is, all of it; nothing can fail later.
func check(b []byte) (value, error) {
	end, ok := skip(b, 0, 0)
	if !ok || end != len(b) {
		return nil, errBencode
	}
	return b, nil
}

// skip returns the index behind the value at b[i].
func skip(b []byte, i, depth int) (end int, ok bool) {
	if i >= len(b) || depth > maxDepth {
		return 0, false
	}
	switch c := b[i]; {
	case c == 'i':
		_, end, ok = number(b, i+1, 'e')
		return end, ok
	case c >= '0' && c <= '9':
		_, end, ok = text(b, i)
		return end, ok
	case c == 'l' || c == 'd':
		i++
		for n := 0; i < len(b); n++ {
			if b[i] == 'e' {
				return i + 1, c == 'l' || n%2 == 0
			}
			if c == 'd' && n%2 == 0 && (b[i] < '0' || b[i] > '9') { // a key is a string
				return 0, false
			}
			if i, ok = skip(b, i, depth+1); !ok {
				return 0, false
			}
		}
	}
	return 0, false
}

// number reads the decimal number at b[i], which ends with the byte stop, and returns the index behind that.
func number(b []byte, i int, stop byte) (n int64, end int, ok bool) {
	from := i
	if i < len(b) && b[i] == '-' && stop == 'e' {
		i++
	}
	digits := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' && i-digits <= maxNumber {
		i++
	}
	if i == digits || i == len(b) || b[i] != stop {
		return 0, 0, false
	}
	n, err := strconv.ParseInt(string(b[from:i]), 10, 64)
	return n, i + 1, err == nil
}

// text reads the string at b[i].
func text(b []byte, i int) (s []byte, end int, ok bool) {
	n, i, ok := number(b, i, ':')
	if !ok || n > int64(len(b)-i) {
		return nil, 0, false
	}
	return b[i : i+int(n)], i + int(n), true
}

// str is v as a string; nil if it is none.
func (v value) str() []byte {
	if len(v) == 0 || v[0] < '0' || v[0] > '9' {
		return nil
	}
	s, _, _ := text(v, 0)
	return s
}

// num is v as a number; 0 if it is none.
func (v value) num() int64 {
	if len(v) == 0 || v[0] != 'i' {
		return 0
	}
	n, _, _ := number(v, 1, 'e')
	return n
}

// get is what key leads to in the dictionary v; nil if v is none or does not have it.
func (v value) get(key string) value {
	for k, one := range v.pairs {
		if string(k) == key {
			return one
		}
	}
	return nil
}

// pairs runs yield for each key and value of the dictionary v.
func (v value) pairs(yield func(key []byte, one value) bool) {
	if len(v) == 0 || v[0] != 'd' {
		return
	}
	for i := 1; v[i] != 'e'; {
		key, at, _ := text(v, i)
		end, _ := skip(v, at, 0)
		if !yield(key, v[at:end]) {
			return
		}
		i = end
	}
}

// items runs yield for each value of the list v.
func (v value) items(yield func(one value) bool) {
	if len(v) == 0 || v[0] != 'l' {
		return
	}
	for i := 1; v[i] != 'e'; {
		end, _ := skip(v, i, 0)
		if !yield(v[i:end]) {
			return
		}
		i = end
	}
}

// appendString appends s as a bencoded string.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	return append(append(dst, ':'), s...)
}

// appendList appends key and a list of strings; nothing if it is empty.
func appendList(dst []byte, key string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(appendString(dst, key), 'l')
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return append(dst, 'e')
}

// appendPair appends key and a string; nothing if that is empty.
func appendPair[T string | []byte](dst []byte, key string, s T) []byte {
	if len(s) == 0 {
		return dst
	}
	return appendString(appendString(dst, key), s)
}
