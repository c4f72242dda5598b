package main

import (
	"io"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/seal"
)

// TestRotateRefused: a key whose tokens are still promised to verify is not dropped.
func TestRotateRefused(t *testing.T) {
	s, err := start(t.Context(), quiet(configOf(t, "upstreams: [{uri: \"sip:127.0.0.1:5080\"}]\n")), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range seal.MaxKeys {
		_, err := s.rotate(rotateOrder{})
		if last := i == seal.MaxKeys-1; last != (err != nil) || last && !strings.Contains(err.Error(), "rotate again after that") {
			t.Errorf("rotation %d: %v", i+1, err)
		}
	}
}
