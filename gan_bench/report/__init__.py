"""What the stored runs show and do not show: tables, plots and one page. No torch."""
