package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
)

// outcomes holds how each connection with an id ended; take waits until that is known.
type outcomes struct {
	mutex sync.Mutex
	ends  map[string]chan string
}

func (o *outcomes) of(id string) chan string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.ends[id] == nil {
		o.ends[id] = make(chan string, 1)
	}
	return o.ends[id]
}

func (o *outcomes) put(id string, err error) {
	if id == "" {
		return
	}
	end := "1006 " + err.Error()
	if closed, ok := err.(*websocket.CloseError); ok {
		end = fmt.Sprintf("%d %s", closed.Code, closed.Text)
	}
	o.of(id) <- end
}

func (o *outcomes) take(id string) string {
	select {
	case end := <-o.of(id):
		return end
	case <-time.After(timeout()):
		return "0 the connection did not end"
	}
}

// discard reads until the connection ends and says why it did.
func discard(conn *websocket.Conn) error {
	conn.SetReadDeadline(time.Now().Add(timeout()))
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return err
		}
	}
}

// say writes a text and leaves it to the client to close.
func say(conn *websocket.Conn, text string) {
	conn.WriteMessage(websocket.TextMessage, []byte(text))
	discard(conn)
}

// inFragments writes a message in frames as small as the connection's write buffer, with a ping
// after the first.
func inFragments(conn *websocket.Conn, kind int, payload []byte, ping string) error {
	writer, err := conn.NextWriter(kind)
	if err != nil {
		return err
	}
	if _, err = writer.Write(payload[:fragmentSize+1]); err != nil {
		return err
	}
	if ping != "" {
		if err = conn.WriteControl(websocket.PingMessage, []byte(ping), time.Now().Add(timeout())); err != nil {
			return err
		}
	}
	if _, err = writer.Write(payload[fragmentSize+1:]); err != nil {
		return err
	}
	return writer.Close()
}

func serve() {
	ends := &outcomes{ends: make(map[string]chan string)}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()

	route := func(path string, upgrader websocket.Upgrader, talk func(*gin.Context, *websocket.Conn)) {
		upgrader.EnableCompression = compresses()
		router.GET(path, func(context *gin.Context) {
			conn, err := upgrader.Upgrade(context.Writer, context.Request, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			talk(context, conn)
		})
	}
	plain := websocket.Upgrader{}

	route("/talk-to-server", plain, func(_ *gin.Context, conn *websocket.Conn) {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		fmt.Printf("Message: %s\n", message)
		conn.WriteMessage(websocket.TextMessage, []byte("Hello from server!"))
		discard(conn)
	})
	route("/", plain, func(context *gin.Context, conn *websocket.Conn) {
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil {
				ends.put(context.Query("id"), err)
				return
			}
			conn.WriteMessage(kind, message)
		}
	})
	route("/close", plain, func(context *gin.Context, conn *websocket.Conn) {
		code, err := strconv.Atoi(context.Query("code"))
		if err != nil {
			code = websocket.CloseNoStatusReceived
		}
		conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, context.Query("reason")))
		ends.put(context.Query("id"), discard(conn))
	})
	route("/outcome", plain, func(context *gin.Context, conn *websocket.Conn) {
		say(conn, ends.take(context.Query("id")))
	})
	reportPong := func(conn *websocket.Conn) {
		conn.SetPongHandler(func(pong string) error {
			return conn.WriteMessage(websocket.TextMessage, []byte("pong "+pong))
		})
	}
	route("/ping", plain, func(context *gin.Context, conn *websocket.Conn) {
		payload := context.Query("payload")
		reportPong(conn)
		conn.WriteControl(websocket.PingMessage, []byte(payload), time.Now().Add(timeout()))
		discard(conn)
	})
	small := websocket.Upgrader{WriteBufferSize: fragmentSize}
	route("/fragments", small, func(_ *gin.Context, conn *websocket.Conn) {
		reportPong(conn)
		inFragments(conn, websocket.TextMessage, []byte(fragmented), "between")
		inFragments(conn, websocket.BinaryMessage, fragmentedBinary, "")
		discard(conn)
	})
	choosing := websocket.Upgrader{Subprotocols: []string{subprotocolV2}}
	route("/subprotocol", choosing, func(context *gin.Context, conn *websocket.Conn) {
		say(conn, strings.Join(websocket.Subprotocols(context.Request), ","))
	})
	router.GET("/refuse", func(context *gin.Context) {
		context.String(http.StatusForbidden, "no")
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Listening on ws://%s\n", listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(http.Serve(listener, router))
}
