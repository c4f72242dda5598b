#include "textflag.h"

// Base64url, sixteen characters at a time. How it works, and what holds it to the plain code, is in text.go and text_amd64.go.

// A window of these, of sixteen bytes from n on, moves the bytes of a register n places to the front, with zeros behind them.
DATA slide<>+0x0(SB)/8, $0x0706050403020100
DATA slide<>+0x8(SB)/8, $0x0f0e0d0c0b0a0908
DATA slide<>+0x10(SB)/8, $0x8080808080808080
DATA slide<>+0x18(SB)/8, $0x8080808080808080
GLOBL slide<>(SB), RODATA|NOPTR, $32

// The same window of these puts the character of zero bits where the zeros are.
DATA fill<>+0x0(SB)/8, $0x0000000000000000
DATA fill<>+0x8(SB)/8, $0x0000000000000000
DATA fill<>+0x10(SB)/8, $0x4141414141414141
DATA fill<>+0x18(SB)/8, $0x4141414141414141
GLOBL fill<>(SB), RODATA|NOPTR, $32

// The low half of each byte.
DATA nibble<>+0x0(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA nibble<>+0x8(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL nibble<>(SB), RODATA|NOPTR, $16

// A character is none of ours if what stands here for its low half and its high half has a bit in common.
DATA lows<>+0x0(SB)/8, $0x2121212121212125
DATA lows<>+0x8(SB)/8, $0x333b3a3b3b232121
GLOBL lows<>(SB), RODATA|NOPTR, $16
DATA highs<>+0x0(SB)/8, $0x1004080402012020
DATA highs<>+0x8(SB)/8, $0x2020202020202020
GLOBL highs<>(SB), RODATA|NOPTR, $16

// What to add to a character for its six bits, by its high half; to the underscore 33 more.
DATA values<>+0x0(SB)/8, $0xb9b9bfbf04110000
DATA values<>+0x8(SB)/8, $0x0000000000000000
GLOBL values<>(SB), RODATA|NOPTR, $16
DATA underscore<>+0x0(SB)/8, $0x5f5f5f5f5f5f5f5f
DATA underscore<>+0x8(SB)/8, $0x5f5f5f5f5f5f5f5f
GLOBL underscore<>(SB), RODATA|NOPTR, $16
DATA more<>+0x0(SB)/8, $0x2121212121212121
DATA more<>+0x8(SB)/8, $0x2121212121212121
GLOBL more<>(SB), RODATA|NOPTR, $16

// Factors that join two times six bits, and two times twelve, and the order of the bytes then.
DATA join6<>+0x0(SB)/8, $0x0140014001400140
DATA join6<>+0x8(SB)/8, $0x0140014001400140
GLOBL join6<>(SB), RODATA|NOPTR, $16
DATA join12<>+0x0(SB)/8, $0x0001100000011000
DATA join12<>+0x8(SB)/8, $0x0001100000011000
GLOBL join12<>(SB), RODATA|NOPTR, $16
DATA order<>+0x0(SB)/8, $0x090a040506000102
DATA order<>+0x8(SB)/8, $0x808080800c0d0e08
GLOBL order<>(SB), RODATA|NOPTR, $16

// For each four characters the three bytes that they are of, which two masks and factors part into bytes of six bits.
DATA spread<>+0x0(SB)/8, $0x0405030401020001
DATA spread<>+0x8(SB)/8, $0x0a0b090a07080607
GLOBL spread<>(SB), RODATA|NOPTR, $16
DATA odd<>+0x0(SB)/8, $0x0fc0fc000fc0fc00
DATA odd<>+0x8(SB)/8, $0x0fc0fc000fc0fc00
GLOBL odd<>(SB), RODATA|NOPTR, $16
DATA oddBy<>+0x0(SB)/8, $0x0400004004000040
DATA oddBy<>+0x8(SB)/8, $0x0400004004000040
GLOBL oddBy<>(SB), RODATA|NOPTR, $16
DATA even<>+0x0(SB)/8, $0x003f03f0003f03f0
DATA even<>+0x8(SB)/8, $0x003f03f0003f03f0
GLOBL even<>(SB), RODATA|NOPTR, $16
DATA evenBy<>+0x0(SB)/8, $0x0100001001000010
DATA evenBy<>+0x8(SB)/8, $0x0100001001000010
GLOBL evenBy<>(SB), RODATA|NOPTR, $16

// What to add to six bits for their character: by how far above 51 they are, and 13 below 26.
DATA above<>+0x0(SB)/8, $0x3333333333333333
DATA above<>+0x8(SB)/8, $0x3333333333333333
GLOBL above<>(SB), RODATA|NOPTR, $16
DATA below<>+0x0(SB)/8, $0x1a1a1a1a1a1a1a1a
DATA below<>+0x8(SB)/8, $0x1a1a1a1a1a1a1a1a
GLOBL below<>(SB), RODATA|NOPTR, $16
DATA small<>+0x0(SB)/8, $0x0d0d0d0d0d0d0d0d
DATA small<>+0x8(SB)/8, $0x0d0d0d0d0d0d0d0d
GLOBL small<>(SB), RODATA|NOPTR, $16
DATA letter<>+0x0(SB)/8, $0xfcfcfcfcfcfcfc47
DATA letter<>+0x8(SB)/8, $0x00004120effcfcfc
GLOBL letter<>(SB), RODATA|NOPTR, $16

// The sixteen characters in X0 become twelve bytes and four zeros. X5 gets a bit wherever one is none of ours.
#define DECODE \
	MOVOU X0, X1 \
	PSRLL $4, X1 \
	PAND X7, X1 \
	MOVOU X0, X2 \
	PAND X7, X2 \
	MOVOU X8, X3 \
	PSHUFB X2, X3 \
	MOVOU X9, X4 \
	PSHUFB X1, X4 \
	PAND X4, X3 \
	POR X3, X5 \
	MOVOU X10, X3 \
	PSHUFB X1, X3 \
	PADDB X0, X3 \
	PCMPEQB X11, X0 \
	PAND X12, X0 \
	PADDB X3, X0 \
	PMADDUBSW X13, X0 \
	PMADDWL X14, X0 \
	PSHUFB X6, X0

// func decodeText(out, text []byte) (bad uint32)
TEXT ·decodeText(SB), NOSPLIT, $0-52
	MOVQ out_base+0(FP), DI
	MOVQ text_base+24(FP), SI
	MOVQ text_len+32(FP), CX
	PXOR X5, X5
	MOVOU order<>(SB), X6
	MOVOU nibble<>(SB), X7
	MOVOU lows<>(SB), X8
	MOVOU highs<>(SB), X9
	MOVOU values<>(SB), X10
	MOVOU underscore<>(SB), X11
	MOVOU more<>(SB), X12
	MOVOU join6<>(SB), X13
	MOVOU join12<>(SB), X14
	SUBQ $16, CX

next:
	MOVOU (SI), X0
	DECODE
	MOVOU X0, (DI)
	ADDQ $16, SI
	ADDQ $12, DI
	SUBQ $16, CX
	JGE  next
	CMPQ CX, $-16
	JE   done

	// The last ones are at the end of sixteen.
	MOVOU (SI)(CX*1), X0
	NEGQ CX
	LEAQ slide<>(SB), AX
	MOVOU (AX)(CX*1), X1
	LEAQ fill<>(SB), BX
	MOVOU (BX)(CX*1), X2
	PSHUFB X1, X0
	POR X2, X0
	DECODE
	MOVOU X0, (DI)

done:
	PXOR X0, X0
	PCMPEQB X5, X0
	PMOVMSKB X0, AX
	XORL $0xffff, AX
	MOVL AX, bad+48(FP)
	RET

// The first twelve bytes in X0 become sixteen characters.
#define ENCODE \
	PSHUFB X6, X0 \
	MOVOU X0, X1 \
	PAND X7, X0 \
	PMULHUW X8, X0 \
	PAND X9, X1 \
	PMULLW X10, X1 \
	POR X1, X0 \
	MOVOU X0, X1 \
	PSUBUSB X11, X1 \
	MOVOU X12, X2 \
	PCMPGTB X0, X2 \
	PAND X13, X2 \
	POR X2, X1 \
	MOVOU X14, X2 \
	PSHUFB X1, X2 \
	PADDB X2, X0

// func encodeText(out, b []byte)
TEXT ·encodeText(SB), NOSPLIT, $0-48
	MOVQ out_base+0(FP), DI
	MOVQ b_base+24(FP), SI
	MOVQ b_len+32(FP), CX
	MOVOU spread<>(SB), X6
	MOVOU odd<>(SB), X7
	MOVOU oddBy<>(SB), X8
	MOVOU even<>(SB), X9
	MOVOU evenBy<>(SB), X10
	MOVOU above<>(SB), X11
	MOVOU below<>(SB), X12
	MOVOU small<>(SB), X13
	MOVOU letter<>(SB), X14
	LEAQ slide<>(SB), AX
	SUBQ $16, CX

next:
	MOVOU (SI), X0
	ENCODE
	MOVOU X0, (DI)
	ADDQ $16, DI
	ADDQ $12, SI
	SUBQ $12, CX
	JGE  next

	// Fewer than sixteen are left, at the end of sixteen.
	ADDQ $16, CX
	ADDQ CX, SI

last:
	MOVOU -16(SI), X0
	MOVQ AX, BX
	SUBQ CX, BX
	MOVOU 16(BX), X1
	PSHUFB X1, X0
	ENCODE
	MOVOU X0, (DI)
	ADDQ $16, DI
	SUBQ $12, CX
	JGT  last
	RET
