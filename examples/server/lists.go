package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/proget-go/ha/proget"
)

// parseProxies reads address,address/bits.
func parseProxies(text string) (proxies []netip.Prefix, err error) {
	for field := range strings.SplitSeq(text, ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(field)
		if address, bad := netip.ParseAddr(field); bad == nil {
			prefix, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, usageError(fmt.Sprintf("-trusted-proxies %q: give addresses or networks, as in 10.0.0.7,10.1.0.0/16", text))
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

// parseHosts reads host,host:port.
func parseHosts(text string) (hosts []string, err error) {
	for host := range strings.SplitSeq(text, ",") {
		if host = strings.TrimSpace(host); strings.ContainsAny(host, "/@ ") {
			return nil, usageError(fmt.Sprintf("-fetch-hosts %q: give hosts, with or without a port, as in downloads.example.com", host))
		}
		if host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// parseFeeds reads name:type,name:type.
func parseFeeds(text string) ([]*proget.Feed, error) {
	if text == "" {
		return nil, nil
	}
	var feeds []*proget.Feed
	for item := range strings.SplitSeq(text, ",") {
		name, typ, ok := strings.Cut(strings.TrimSpace(item), ":")
		if !ok {
			return nil, usageError(fmt.Sprintf("PROGET_FEEDS: %q is not name:type", item))
		}
		feeds = append(feeds, &proget.Feed{Name: strings.TrimSpace(name), Type: typ})
	}
	return feeds, nil
}
