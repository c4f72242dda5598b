#include "textflag.h"

// The eleven round keys at AX go into X1 to X11.
#define LOADKEYS \
	MOVOU 0(AX), X1 \
	MOVOU 16(AX), X2 \
	MOVOU 32(AX), X3 \
	MOVOU 48(AX), X4 \
	MOVOU 64(AX), X5 \
	MOVOU 80(AX), X6 \
	MOVOU 96(AX), X7 \
	MOVOU 112(AX), X8 \
	MOVOU 128(AX), X9 \
	MOVOU 144(AX), X10 \
	MOVOU 160(AX), X11

// AES-128 of the block in X0.
#define ENCRYPT \
	PXOR X1, X0 \
	AESENC X2, X0 \
	AESENC X3, X0 \
	AESENC X4, X0 \
	AESENC X5, X0 \
	AESENC X6, X0 \
	AESENC X7, X0 \
	AESENC X8, X0 \
	AESENC X9, X0 \
	AESENC X10, X0 \
	AESENCLAST X11, X0

// Two big-endian words, in DX and BX, as the block in to.
#define JOIN(to) \
	BSWAPQ DX \
	BSWAPQ BX \
	MOVQ DX, to \
	MOVQ BX, X13 \
	PUNPCKLQDQ X13, to

// The block in X0 as two big-endian words, in DX and BX.
#define PART \
	MOVQ X0, DX \
	PSHUFD $0xee, X0, X0 \
	MOVQ X0, BX \
	BSWAPQ DX \
	BSWAPQ BX

// func subRotAES(w uint32) uint32
TEXT ·subRotAES(SB), NOSPLIT, $0-12
	MOVL w+0(FP), AX
	MOVQ AX, X0
	PSHUFD $0, X0, X0
	AESKEYGENASSIST $0, X0, X1
	PSHUFD $0x55, X1, X1 // the second word is the one that is rotated
	MOVQ X1, AX
	MOVL AX, ret+8(FP)
	RET

// func chainAES(s *schedule, data []byte, hi, lo uint64) (h, l uint64)
TEXT ·chainAES(SB), NOSPLIT, $0-64
	MOVQ s+0(FP), AX
	MOVQ data_base+8(FP), SI
	MOVQ data_len+16(FP), CX
	MOVQ hi+32(FP), DX
	MOVQ lo+40(FP), BX
	LOADKEYS
	JOIN(X14)
	PXOR X0, X0
	SUBQ $16, CX
	JLT  last

next:
	MOVOU (SI), X12
	PXOR X12, X0
	ENCRYPT
	ADDQ $16, SI
	SUBQ $16, CX
	JGE  next

last:
	PXOR X14, X0
	ENCRYPT
	PART
	MOVQ DX, h+48(FP)
	MOVQ BX, l+56(FP)
	RET

// func streamAES(s *schedule, data []byte, hi, lo uint64) (h, l uint64)
TEXT ·streamAES(SB), NOSPLIT, $0-64
	MOVQ s+0(FP), AX
	MOVQ data_base+8(FP), SI
	MOVQ data_len+16(FP), CX
	MOVQ hi+32(FP), DX
	MOVQ lo+40(FP), R8
	LOADKEYS
	BSWAPQ DX
	MOVQ DX, X14
	SUBQ $16, CX
	JLT  last

next:
	MOVQ R8, BX
	BSWAPQ BX
	MOVQ BX, X13
	MOVOU X14, X0
	PUNPCKLQDQ X13, X0
	ENCRYPT
	MOVOU (SI), X12
	PXOR X0, X12
	MOVOU X12, (SI)
	INCQ R8
	ADDQ $16, SI
	SUBQ $16, CX
	JGE  next

last:
	MOVQ R8, BX
	BSWAPQ BX
	MOVQ BX, X13
	MOVOU X14, X0
	PUNPCKLQDQ X13, X0
	ENCRYPT
	PART
	MOVQ DX, h+48(FP)
	MOVQ BX, l+56(FP)
	RET
