package seal

import "golang.org/x/sys/cpu"

// hasShuffle: the processor has the instructions that text_amd64.s is written in.
var hasShuffle = cpu.X86.HasSSSE3

// decodeText writes the bytes that text stands for to out, and which bits of the last character mean nothing to the byte behind them. text has leastText
// characters or more, and out a slack more than they take. Not zero: some are none of ours.
//
//go:noescape
func decodeText(out, text []byte) (bad uint32)

// encodeText writes b as text to out. b has leastText bytes or more, and out a slack more than that takes. b may lie as encode has it.
//
//go:noescape
func encodeText(out, b []byte)
