// SPDX-License-Identifier: MIT

// The Go side of the http rows: net/http, or with -raw a handler on the bare connection that
// does no more than find the end of each request.
package main

import (
	"bytes"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
)

const body = "Hello, World!"

var answer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
	strconv.Itoa(len(body)) + "\r\n\r\n" + body)

var endOfRequest = []byte("\r\n\r\n")

func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	io.WriteString(w, body)
}

// Answers requests without a body, pipelined or cut anywhere, until the peer goes.
func serveRaw(c net.Conn) {
	defer c.Close()
	in := make([]byte, 4096)
	var out []byte
	kept := 0
	for {
		n, err := c.Read(in[kept:])
		if err != nil {
			return
		}
		kept += n
		rest := in[:kept]
		out = out[:0]
		for {
			end := bytes.Index(rest, endOfRequest)
			if end < 0 {
				break
			}
			rest = rest[end+len(endOfRequest):]
			out = append(out, answer...)
		}
		kept = copy(in, rest)
		if kept == len(in) {
			return
		}
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
}

func main() {
	port := flag.Int("port", 8080, "on the loopback interface")
	raw := flag.Bool("raw", false, "answer on the bare connection")
	flag.Parse()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		log.Fatal(err)
	}
	if !*raw {
		log.Fatal(http.Serve(listener, http.HandlerFunc(serve)))
	}
	for {
		c, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serveRaw(c)
	}
}
