package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// onlyOwn answers on loopback only who asks by an address, or by a name that nobody can have in public. A site may let its name mean
// 127.0.0.1 once a browser shows it: to the browser what a node answers is then the site's own, for its scripts to read. Elsewhere a
// node has names that it does not know.
func onlyOwn(at net.Addr, next http.Handler) http.Handler {
	if tcp, ok := at.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !own(r.Host) {
			http.Error(w, "This node listens on loopback, and answers by localhost or an address: have the proxy send Host: localhost, or see --listen.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// own says whether a host, perhaps with a port, is an address or a name of this machine or its network.
func own(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	return slices.ContainsFunc([]string{".localhost", ".localdomain", ".local", ".internal"}, func(end string) bool { return strings.HasSuffix(host, end) })
}
