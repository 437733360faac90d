/** A small SMTP server: takes every mail, and keeps it. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** Head and body, with line feeds. */
  readonly text: string;
}

export class SmtpServer implements Disposable {
  readonly mails: Mail[] = [];
  readonly #listener: Bun.TCPSocketListener<Session>;

  constructor() {
    const { mails } = this;
    this.#listener = Bun.listen<Session>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          socket.data = new Session((line) => socket.write(`${line}\r\n`), mails);
        },
        data: (socket, bytes) => socket.data.read(bytes.toString()),
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}

/** One connection. */
class Session {
  #unread = "";
  #from = "";
  #to: string[] = [];
  #isReadingMail = false;

  constructor(
    readonly answer: (line: string) => void,
    readonly mails: Mail[],
  ) {
    answer("220 test ESMTP");
  }

  read(text: string): void {
    this.#unread += text;
    for (;;) {
      const end = this.#isReadingMail ? "\r\n.\r\n" : "\r\n";
      const position = this.#unread.indexOf(end);
      if (position < 0) return;
      const piece = this.#unread.slice(0, position);
      this.#unread = this.#unread.slice(position + end.length);
      if (this.#isReadingMail) this.#keep(piece);
      else this.#obey(piece);
    }
  }

  #obey(line: string): void {
    const address = /<(.*)>/.exec(line)?.[1] ?? "";
    if (/^MAIL /i.test(line)) this.#from = address;
    if (/^RCPT /i.test(line)) this.#to.push(address);
    this.#isReadingMail = /^DATA$/i.test(line);
    this.answer(this.#isReadingMail ? "354 go on" : /^QUIT/i.test(line) ? "221 bye" : "250 ok");
  }

  #keep(piece: string): void {
    // A dot at the beginning of a line is doubled on the way.
    const text = piece.replaceAll("\r\n", "\n").replace(/^\./gm, "");
    this.mails.push({ from: this.#from, to: this.#to, text });
    this.#to = [];
    this.#isReadingMail = false;
    this.answer("250 kept");
  }
}
