package xsk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// keyLen is the length of a key of the table of partners: the far end's address, ours (IPv4 as ::ffff:a.b.c.d), our port, two bytes of nothing.
const keyLen = 36

// newPartners makes the table that says who is a partner: which far end at which address of ours, and over which interface.
func newPartners() (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{Name: "ringwall_part", Type: ebpf.Hash, KeySize: keyLen, ValueSize: 4, MaxEntries: maxPartners})
}

// partnerKey is the key of remote at local.
func partnerKey(remote netip.Addr, local netip.AddrPort) (k [keyLen]byte) {
	r, l := remote.As16(), local.Addr().As16()
	copy(k[:], r[:])
	copy(k[16:], l[:])
	binary.BigEndian.PutUint16(k[32:], local.Port())
	return k
}

// load puts the program on dev: by the driver if it can, else in generic mode.
func (s *Set) load(dev *net.Interface, sockets *ebpf.Map, generic bool) (link.Link, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "ringwall_xsk", Type: ebpf.XDP, License: "Apache-2.0", Instructions: program(s.partners, sockets, dev.Index)})
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	defer p.Close() // the link holds it
	var failed error
	if !generic {
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: dev.Index, Flags: link.XDPDriverMode})
		if err == nil {
			return l, nil
		}
		failed = fmt.Errorf("attach by the driver: %w", err)
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: dev.Index, Flags: link.XDPGenericMode})
	if err != nil {
		return nil, errors.Join(failed, fmt.Errorf("attach in generic mode: %w", err))
	}
	return l, nil
}

// Where things are in a frame without VLAN tag, IPv4 options or IPv6 extension headers. All others are for the kernel.
const (
	ethLen, ip4Len, ip6Len, udpLen = 14, 20, 40, 8

	typeOffset = 12
	ip4        = ethLen
	ip6        = ethLen
	udp4       = ip4 + ip4Len
	udp6       = ip6 + ip6Len
)

// key is where the key of the table is on the stack of the program.
const key = -40

// program passes to the sockets (of AF_XDP) what comes whole from a partner over this interface to our address, and all else to the kernel.
//
//	r6 the context, r7 the frame, r8 its end, r1 in between: our port
func program(partners, sockets *ebpf.Map, ifindex int) asm.Instructions {
	return slices.Concat(
		asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadMem(asm.R7, asm.R6, 0, asm.Word),
			asm.LoadMem(asm.R8, asm.R6, 4, asm.Word),
			asm.Mov.Reg(asm.R1, asm.R7), // longer than a place has room: several datagrams as one, from this machine
			asm.Add.Imm(asm.R1, frameSize-kernelHeadroom),
			asm.JLT.Reg(asm.R1, asm.R8, "pass"),
		},
		atLeast(udp4+udpLen),
		asm.Instructions{
			asm.Mov.Imm(asm.R1, 0),
			asm.StoreMem(asm.RFP, key, asm.R1, asm.DWord), // of ::ffff:a.b.c.d
			asm.StoreMem(asm.RFP, key+8, asm.R1, asm.DWord),
			asm.StoreMem(asm.RFP, key+16, asm.R1, asm.DWord),
			asm.StoreMem(asm.RFP, key+24, asm.R1, asm.DWord),
			asm.StoreMem(asm.RFP, key+32, asm.R1, asm.DWord),
			asm.LoadMem(asm.R1, asm.R7, typeOffset, asm.Half),
			asm.JEq.Imm(asm.R1, short(0x86dd), "ip6"),
			asm.JNE.Imm(asm.R1, short(0x0800), "pass"),
		},
		keyOf4(),
		keyOf6(),
		asm.Instructions{
			asm.StoreMem(asm.RFP, key+32, asm.R1, asm.Half).WithSymbol("look"),
			asm.LoadMapPtr(asm.R1, partners.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, key),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "pass"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
			asm.JNE.Imm(asm.R1, int32(ifindex), "pass"), // he lives elsewhere
			asm.LoadMapPtr(asm.R1, sockets.FD()),
			asm.LoadMem(asm.R2, asm.R6, 16, asm.Word), // of this queue
			asm.Mov.Imm(asm.R3, xdpPass),
			asm.FnRedirectMap.Call(),
			asm.Return(),
			asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
			asm.Return(),
		})
}

// keyOf4 makes the key of an IPv4 packet.
func keyOf4() asm.Instructions {
	return slices.Concat(
		asm.Instructions{
			asm.LoadMem(asm.R1, asm.R7, ip4, asm.Byte),
			asm.JNE.Imm(asm.R1, 0x45, "pass"), // options
			asm.LoadMem(asm.R1, asm.R7, ip4+6, asm.Half),
			asm.And.Imm(asm.R1, short(0x3fff)),
			asm.JNE.Imm(asm.R1, 0, "pass"), // a fragment
			asm.LoadMem(asm.R1, asm.R7, ip4+9, asm.Byte),
			asm.JNE.Imm(asm.R1, protocolUDP, "pass"),
			asm.Mov.Imm(asm.R1, -1),
			asm.StoreMem(asm.RFP, key+10, asm.R1, asm.Half),
			asm.StoreMem(asm.RFP, key+26, asm.R1, asm.Half),
		},
		copyToKey(12, ip4+12, 4),
		copyToKey(28, ip4+16, 4),
		asm.Instructions{asm.LoadMem(asm.R1, asm.R7, udp4+2, asm.Half), asm.Ja.Label("look")})
}

// keyOf6 makes the key of an IPv6 packet.
func keyOf6() asm.Instructions {
	code := slices.Concat(
		atLeast(udp6+udpLen),
		asm.Instructions{asm.LoadMem(asm.R1, asm.R7, ip6+6, asm.Byte), asm.JNE.Imm(asm.R1, protocolUDP, "pass")},
		copyToKey(0, ip6+8, 32),
		asm.Instructions{asm.LoadMem(asm.R1, asm.R7, udp6+2, asm.Half)})
	code[0] = code[0].WithSymbol("ip6")
	return code
}

// atLeast leaves frames of less than n bytes to the kernel.
func atLeast(n int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Reg(asm.R1, asm.R7), asm.Add.Imm(asm.R1, n), asm.JGT.Reg(asm.R1, asm.R8, "pass")}
}

// copyToKey copies n bytes of the frame, a multiple of 4, to a place in the key.
func copyToKey(at, from, n int16) (code asm.Instructions) {
	for i := int16(0); i < n; i += 4 {
		code = append(code, asm.LoadMem(asm.R1, asm.R7, from+i, asm.Word), asm.StoreMem(asm.RFP, key+at+i, asm.R1, asm.Word))
	}
	return code
}

// short is v, in the order of the network, as this machine loads it.
func short(v uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
}

const (
	xdpPass     = 2
	protocolUDP = 17
)
