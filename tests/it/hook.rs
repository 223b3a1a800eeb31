//! A webhook on loopback: it keeps what it is sent and answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub struct Hook {
    /// With a secret path.
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: Answer,
    bodies: Vec<Value>,
    /// Answers are held back here.
    hanging: Vec<TcpStream>,
}

#[derive(Clone)]
pub enum Answer {
    Ok,
    /// A status line's end, further headers, a body.
    Is(&'static str, String, &'static str),
    /// Never.
    Hangs,
}

impl Hook {
    pub fn new() -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/services/SECRET-PATH", listener.local_addr().unwrap());
        let state = State { answer: Answer::Ok, bodies: Vec::new(), hanging: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &shared);
            }
        });
        Hook { url, state }
    }

    pub fn answers(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// What it was sent since the last call.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().unwrap().bodies)
    }

    /// The one message since the last call.
    #[track_caller]
    pub fn one(&self) -> Value {
        let mut bodies = self.take();
        assert_eq!(bodies.len(), 1, "{bodies:#?}");
        bodies.remove(0)
    }

    #[track_caller]
    pub fn none(&self) {
        let bodies = self.take();
        assert!(bodies.is_empty(), "{bodies:#?}");
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut state = state.lock().unwrap();
    state.bodies.push(serde_json::from_slice(&body).unwrap_or_default());
    let (status, headers, text) = match state.answer.clone() {
        Answer::Ok => ("200 OK", String::new(), "ok"),
        Answer::Is(status, headers, text) => (status, headers, text),
        Answer::Hangs => return state.hanging.push(stream),
    };
    let length = text.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{text}");
    drop(stream.write_all(answer.as_bytes()));
}
