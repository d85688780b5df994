// A client on pion/turn: allocates over TLS with the ALPN protocol of RFC 7443, and has data relayed to a peer and back.
//
//	pion ADDRESS AUTHORITY.pem USERNAME PASSWORD REALM PEER_ADDRESS
//
// Prints what the handshake has agreed upon and how many messages came back.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v2"
)

const messages = 100

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(address, authority, username, password, realm, peerAddress string) error {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	connection, err := tls.Dial("tcp", address, &tls.Config{
		RootCAs:    roots,
		NextProtos: []string{"stun.turn"},
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	agreed := connection.ConnectionState().NegotiatedProtocol
	if agreed != "stun.turn" {
		return fmt.Errorf("agreed on %q", agreed)
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address,
		TURNServerAddr: address,
		Conn:           turn.NewSTUNConn(connection),
		Username:       username,
		Password:       password,
		Realm:          realm,
		LoggerFactory:  logging.NewDefaultLoggerFactory(),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if err = client.Listen(); err != nil {
		return err
	}
	relay, err := client.Allocate()
	if err != nil {
		return err
	}
	defer relay.Close()
	peer, err := net.ListenPacket("udp4", peerAddress)
	if err != nil {
		return err
	}
	defer peer.Close()
	go echo(peer)
	deadline := time.Now().Add(20 * time.Second)
	if err = relay.SetReadDeadline(deadline); err != nil {
		return err
	}
	buffer := make([]byte, 1500)
	for n := 0; n < messages; n++ {
		said := fmt.Sprintf("message %d", n)
		if _, err = relay.WriteTo([]byte(said), peer.LocalAddr()); err != nil {
			return err
		}
		length, _, err := relay.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if heard := string(buffer[:length]); heard != said {
			return fmt.Errorf("%q came back as %q", said, heard)
		}
	}
	fmt.Printf("ALPN %s, %d of %d came back\n", agreed, messages, messages)
	return nil
}

func echo(peer net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		length, from, err := peer.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = peer.WriteTo(buffer[:length], from)
	}
}
