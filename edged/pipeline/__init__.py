"""What happens between what people say and what they are answered."""
