//! Examples as they stand in a page.

/// A gateway, and what it is asked.
pub struct Example {
    pub line: usize,
    pub yaml: String,
    /// Collections that take the place of the gateway's.
    pub instead: String,
    pub plays: Vec<Play>,
}

/// A command and what it has to print.
pub struct Play {
    pub line: usize,
    pub command: String,
    pub expected: Vec<String>,
}

/// Those of a page.
pub fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (line, language, block) in blocks(text) {
        let yaml = block.join("\n");
        match language {
            "yaml" if yaml.contains("kind: ApplicationGateway") => {
                examples.push(Example { line, yaml, instead: String::new(), plays: Vec::new() });
            }
            "yaml" if yaml.starts_with("  ") => {
                if let Some(example) = examples.iter().rfind(|example| example.instead.is_empty()) {
                    let (whole, instead) = (example.yaml.clone(), yaml);
                    examples.push(Example { line, yaml: whole, instead, plays: Vec::new() });
                }
            }
            "console" => {
                if let Some(example) = examples.last_mut() {
                    example.plays.extend(plays(line, &block));
                }
            }
            _ => {}
        }
    }
    examples
}

/// Fenced blocks with the line that they begin after and their language.
fn blocks(text: &str) -> Vec<(usize, &str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, &str, Vec<&str>)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((index + 1, language.trim(), Vec::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((.., block)), None) => block.push(line),
            (None, None) => {}
        }
    }
    blocks
}

/// The commands that can be played.
fn plays(first: usize, block: &[&str]) -> Vec<Play> {
    let mut plays: Vec<Play> = Vec::new();
    let mut joins = false;
    for (index, line) in block.iter().enumerate() {
        let command = line.strip_prefix("$ ");
        match (plays.last_mut(), command) {
            (Some(play), _) if joins => {
                play.command.push('\n');
                play.command.push_str(line);
            }
            (_, Some(command)) => plays.push(Play {
                line: first + index + 1,
                command: command.to_owned(),
                expected: Vec::new(),
            }),
            (Some(play), None) => play.expected.push(line.trim_end().to_owned()),
            (None, None) => panic!("line {}: a console block begins with a command", first + 1),
        }
        joins = line.ends_with('\\') && (joins || command.is_some());
    }
    plays.retain(|play| play.command.starts_with("curl ") || play.command.starts_with("for "));
    plays
}
