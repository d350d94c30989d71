// The programs and sessions that README.md, CONTRIBUTING.md and docs/*.md show. A ```ts block that does not begin with an
// import goes on where the one before it ended; the ```text block after it is what it prints; in a ```console block, `$ `
// stands before what is typed.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const root = path.join(__dirname, '..');

export interface Program {
  readonly name: string;
  source: string;
  output: string;
}

export interface Session {
  readonly document: string;
  readonly text: string;
}

interface Block {
  readonly language: string;
  readonly text: string;
}

export const documents: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export const programs: readonly Program[] = documents.flatMap(programsOf);
export const sessions: readonly Session[] = documents.flatMap((document) =>
  blocksOf(document)
    .filter(({ language }) => language === 'console')
    .map(({ text }) => ({ document, text })),
);

function programsOf(document: string): Program[] {
  const found: Program[] = [];
  let before = '';
  for (const { language, text } of blocksOf(document)) {
    const last = found.at(-1);
    if (language === 'ts' && (text.startsWith('import ') || last === undefined)) {
      const name = `${document.replace(/\.md$/, '').replace(/\W/g, '-')}-${found.length + 1}`;
      found.push({ name, source: text, output: '' });
    } else if (language === 'ts' && last !== undefined) {
      last.source += text;
    } else if (language === 'text' && before === 'ts' && last !== undefined) {
      last.output += text;
    }
    before = language;
  }
  return found;
}

function blocksOf(document: string): Block[] {
  const text = readFileSync(path.join(root, document), 'utf8');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', body = '']) => ({
    language,
    text: body,
  }));
}
