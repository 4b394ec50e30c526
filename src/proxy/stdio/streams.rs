//! Our own standard input and output, read and written by the runtime itself.
//!
//! Clients give a pipe (Python) or a socket (Node). Either is waited for with all
//! else that this process waits for; through threads that block, each line would cost
//! four changes of thread more. Files and terminals have no other way.
//!
//! Must never: leave behind what does not block any more. A shell that started us,
//! or what it starts next, may read and write the same pipes and sockets. So a pipe is
//! opened once more, under its name in /proc, and a socket is put back as it was.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::FileType;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Our standard input and output. Within a tokio runtime.
///
/// # Errors
/// They are closed.
pub fn standard_streams() -> io::Result<(Input, Output, PutBack)> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let mut sockets = PutBack::default();
    let input = Input::of(stdin.as_fd(), &mut sockets)?;
    let output = Output::of(stdout.as_fd(), &mut sockets)?;
    Ok((input, output, sockets))
}

/// Sockets that blocked before, and do again when this is dropped.
#[derive(Debug, Default)]
pub struct PutBack(Vec<StdStream>);

impl Drop for PutBack {
    fn drop(&mut self) {
        for socket in &self.0 {
            // One that cannot be put back is closed at its other end, too.
            let _ = socket.set_nonblocking(false);
        }
    }
}

impl PutBack {
    /// A socket (of whatever kind: it is only read and written), until then.
    fn socket(&mut self, fd: BorrowedFd<'_>) -> io::Result<UnixStream> {
        let socket = StdStream::from(fd.try_clone_to_owned()?);
        let blocked = !rustix::fs::fcntl_getfl(&socket)?.contains(rustix::fs::OFlags::NONBLOCK);
        if blocked {
            self.0.push(socket.try_clone()?);
            socket.set_nonblocking(true)?;
        }
        UnixStream::from_std(socket)
    }
}

fn kind(of: BorrowedFd<'_>) -> Option<FileType> {
    rustix::fs::fstat(of).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// The name by which what is open here is opened once more.
fn name(of: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", of.as_raw_fd())
}

fn file(of: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from_std(std::fs::File::from(of.try_clone_to_owned()?)))
}

/// Where the client's lines come from.
#[derive(Debug)]
pub enum Input {
    /// A pipe.
    Pipe(pipe::Receiver),
    /// A socket.
    Socket(UnixStream),
    /// Anything else.
    File(File),
}

impl Input {
    fn of(fd: BorrowedFd<'_>, sockets: &mut PutBack) -> io::Result<Input> {
        Ok(match kind(fd) {
            // One that belongs to another user cannot be opened: then as a file.
            Some(FileType::Fifo) => match pipe::OpenOptions::new().open_receiver(name(fd)) {
                Ok(pipe) => Input::Pipe(pipe),
                Err(_) => Input::File(file(fd)?),
            },
            Some(FileType::Socket) => Input::Socket(sockets.socket(fd)?),
            _ => Input::File(file(fd)?),
        })
    }
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Input::Pipe(pipe) => Pin::new(pipe).poll_read(cx, to),
            Input::Socket(socket) => Pin::new(socket).poll_read(cx, to),
            Input::File(file) => Pin::new(file).poll_read(cx, to),
        }
    }
}

/// Where lines for the client go.
#[derive(Debug)]
pub enum Output {
    /// A pipe.
    Pipe(pipe::Sender),
    /// A socket.
    Socket(UnixStream),
    /// Anything else.
    File(File),
}

impl Output {
    fn of(fd: BorrowedFd<'_>, sockets: &mut PutBack) -> io::Result<Output> {
        Ok(match kind(fd) {
            Some(FileType::Fifo) => match pipe::OpenOptions::new().open_sender(name(fd)) {
                Ok(pipe) => Output::Pipe(pipe),
                Err(_) => Output::File(file(fd)?),
            },
            Some(FileType::Socket) => Output::Socket(sockets.socket(fd)?),
            _ => Output::File(file(fd)?),
        })
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Output::Pipe(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            Output::Socket(socket) => Pin::new(socket).poll_write(cx, bytes),
            Output::File(file) => Pin::new(file).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Output::File(file) => Pin::new(file).poll_flush(cx),
            // What was written is with the client.
            Output::Pipe(_) | Output::Socket(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Output::File(file) => Pin::new(file).poll_shutdown(cx),
            Output::Pipe(_) | Output::Socket(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek as _, Write};
    use std::os::fd::OwnedFd;

    use rustix::fs::{OFlags, fcntl_getfl};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// More than any pipe or socket takes before somebody reads.
    fn much() -> Vec<u8> {
        (0..4_000_000_u32).map(|n| n.to_le_bytes()[0]).collect()
    }

    fn blocks(fd: &OwnedFd) -> bool {
        !fcntl_getfl(fd).expect("its flags").contains(OFlags::NONBLOCK)
    }

    async fn is_read(mut from: impl Write + Send + 'static, fd: OwnedFd) {
        let mut sockets = PutBack::default();
        let mut input = Input::of(fd.as_fd(), &mut sockets).expect("an input");
        assert!(!matches!(input, Input::File(_)));
        let writer = tokio::task::spawn_blocking(move || from.write_all(&much()));
        let mut read = Vec::new();
        input.read_to_end(&mut read).await.expect("read");
        writer.await.expect("no panic").expect("written");
        drop(sockets);
        assert!(read == much() && blocks(&fd));
    }

    async fn is_written(mut to: impl Read + Send + 'static, fd: OwnedFd) {
        let mut sockets = PutBack::default();
        let mut output = Output::of(fd.as_fd(), &mut sockets).expect("an output");
        assert!(!matches!(output, Output::File(_)));
        let reader = tokio::task::spawn_blocking(move || {
            let mut read = Vec::new();
            to.read_to_end(&mut read).map(|_| read)
        });
        output.write_all(&much()).await.expect("written");
        drop(sockets);
        assert!(blocks(&fd));
        drop((output, fd));
        assert!(reader.await.expect("no panic").expect("read") == much());
    }

    #[tokio::test]
    async fn a_pipe_is_read_and_written_whole_and_still_blocks_for_others() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        is_read(writer, reader.into()).await;
        let (reader, writer) = std::io::pipe().expect("a pipe");
        is_written(reader, writer.into()).await;
    }

    #[tokio::test]
    async fn a_socket_is_read_and_written_whole_and_blocks_again_for_others() {
        let (ours, theirs) = StdStream::pair().expect("a pair");
        is_read(theirs, ours.into()).await;
        let (ours, theirs) = StdStream::pair().expect("a pair");
        is_written(theirs, ours.into()).await;
    }

    #[tokio::test]
    async fn a_file_is_read_to_its_end() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"a line\n").expect("written");
        file.rewind().expect("from its beginning");
        let fd = OwnedFd::from(file);
        let mut input = Input::of(fd.as_fd(), &mut PutBack::default()).expect("an input");
        let mut read = String::new();
        input.read_to_string(&mut read).await.expect("read");
        assert_eq!(read, "a line\n");
    }
}
