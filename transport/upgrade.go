package transport

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	// maxRequest bounds the HTTP request that a WebSocket connection begins with, bytes.
	maxRequest = 8 << 10
	// subprotocol is the one of RFC 7118 §4.
	subprotocol = "sip"
	// handshakeID is what RFC 6455 §1.3 appends to the key.
	handshakeID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// upgrade reads the HTTP request of a WebSocket client and answers it (RFC 6455 §4.2, RFC 7118 §5.1). Nothing else is served, on any
// path. rest is what has come behind the request. Any Origin may connect: a browser has no credentials here that it would add by
// itself, SIP asks for them in its own way.
func upgrade(nc stream) (rest []byte, err error) {
	in := bufio.NewReaderSize(io.LimitReader(nc, maxRequest), firstBuffer)
	req, err := http.ReadRequest(in)
	if err != nil {
		refuseHTTP(nc, http.StatusBadRequest)
		return nil, fmt.Errorf("read the WebSocket handshake: %w", err)
	}
	if status := judge(req); status != http.StatusSwitchingProtocols {
		refuseHTTP(nc, status)
		return nil, fmt.Errorf("the WebSocket handshake is refused with %d", status)
	}
	sum := sha1.Sum([]byte(strings.TrimSpace(req.Header.Get("Sec-WebSocket-Key")) + handshakeID))
	_, err = fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"+
		"Sec-WebSocket-Protocol: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]), subprotocol)
	if err != nil {
		return nil, fmt.Errorf("answer the WebSocket handshake: %w", err)
	}
	rest, _ = in.Peek(in.Buffered())
	return rest, nil
}

// judge returns the status for a request: 101 if it is a WebSocket handshake for SIP.
func judge(req *http.Request) int {
	keys := req.Header.Values("Sec-WebSocket-Key")
	switch {
	case req.Method != http.MethodGet:
		return http.StatusMethodNotAllowed
	case !has(req, "Connection", "upgrade") || !has(req, "Upgrade", "websocket") || req.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired
	case !req.ProtoAtLeast(1, 1) || req.Host == "" || req.ContentLength != 0 || len(req.TransferEncoding) > 0 || len(keys) != 1:
		return http.StatusBadRequest
	case !has(req, "Sec-WebSocket-Protocol", subprotocol):
		return http.StatusBadRequest
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return http.StatusBadRequest
	}
	return http.StatusSwitchingProtocols
}

// has reports whether a comma list of req has the token.
func has(req *http.Request, field, token string) bool {
	for _, line := range req.Header.Values(field) {
		for one := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}

// refuseHTTP answers a request that is no WebSocket handshake for SIP; the connection is closed after it.
func refuseHTTP(nc stream, status int) {
	_, _ = fmt.Fprintf(nc, "HTTP/1.1 %d %s\r\nConnection: close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
		status, http.StatusText(status))
	_ = nc.CloseWrite()
}
